// SPDX-License-Identifier: GPL-2.0-or-later
// What the engine asks of its host besides an executor: device I/O, memory, time.
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "kernel/dmr.h"

// To the executor; any context.
static void dmr_io_ended(struct dmr_target* t, struct dmr_io_words* words, u8 status) {
  words->status = status;
  words->time_ns = ktime_get_ns() - words->time_ns;
  dmr_post(t, (struct llist_node*)&words->link, &t->ended_io);
}

static void dmr_io_end_bio(struct bio* bio) {
  struct dmr_io_words* words = bio->bi_private;
  u8 status = dmr_io_status_of(bio->bi_status);

  bio_put(bio);
  dmr_io_ended(words->target, words, status);
}

static struct page* dmr_page_of(const void* memory) {
  return is_vmalloc_addr(memory) ? vmalloc_to_page(memory) : virt_to_page(memory);
}

static struct bio* dmr_buffer_bio(struct dmr_target* t, struct block_device* bdev, blk_opf_t opf,
                                  const struct dmr_io_params* p) {
  size_t left = (size_t)p->sectors << SECTOR_SHIFT;
  char* at = p->buffer;
  struct bio* bio;

  if (WARN_ON_ONCE(left > (size_t)BIO_MAX_VECS * PAGE_SIZE)) return NULL;
  bio = bio_alloc_bioset(bdev, DIV_ROUND_UP(offset_in_page(at) + left, PAGE_SIZE), opf, GFP_NOIO,
                         &t->bios_set);
  while (left) {
    unsigned int bytes = min_t(size_t, left, PAGE_SIZE - offset_in_page(at));

    if (WARN_ON_ONCE(bio_add_page(bio, dmr_page_of(at), bytes, offset_in_page(at)) != bytes)) {
      bio_put(bio);
      return NULL;
    }
    at += bytes;
    left -= bytes;
  }
  return bio;
}

// The data of a held bio, from its own pages: nothing is copied.
static struct bio* dmr_payload_bio(struct dmr_target* t, struct block_device* bdev, blk_opf_t opf,
                                   const struct dmr_io_params* p) {
  struct dmr_bio* b = container_of((struct dmr_request*)p->payload, struct dmr_bio, request);
  struct bio* held = dm_bio_from_per_bio_data(b, sizeof(*b));
  struct bio* bio = bio_alloc_clone(bdev, held, GFP_NOIO, &t->bios_set);

  // The held bio has been moved to its partition's disk already, this one has not.
  bio_clear_flag(bio, BIO_REMAPPED);
  bio->bi_opf = opf;
  bio->bi_iter = b->iter;
  bio_advance_iter(bio, &bio->bi_iter, p->payload_offset);
  bio->bi_iter.bi_size = p->sectors << SECTOR_SHIFT;
  return bio;
}

static void dmr_zeros_end_bio(struct bio* bio) {
  struct dmr_io_words* words = bio->bi_private;
  struct dmr_target* t = words->target;
  struct dmr_io_params p;
  u8 status = dmr_io_status_of(bio->bi_status);

  bio_put(bio);
  dmr_io_describe(words, &p);
  if (status != DMR_IO_OK || words->done_sectors >= p.sectors)
    return dmr_io_ended(t, words, status);
  // What is left is begun by the executor, where a bio may be waited for.
  words->status = DMR_IO_CONTINUE;
  dmr_post(t, (struct llist_node*)&words->link, &t->ended_io);
}

// As many zeros as one bio can carry.
static struct bio* dmr_zeros_bio(struct dmr_target* t, struct dmr_io_words* words,
                                 struct block_device* bdev, blk_opf_t opf,
                                 const struct dmr_io_params* p) {
  u32 sectors = min_t(u32, p->sectors - words->done_sectors, BIO_MAX_VECS * PAGE_SECTORS);
  struct bio* bio =
      bio_alloc_bioset(bdev, DIV_ROUND_UP(sectors, PAGE_SECTORS), opf, GFP_NOIO, &t->bios_set);
  u32 left = sectors << SECTOR_SHIFT;

  while (left) {
    unsigned int bytes = min_t(u32, left, PAGE_SIZE);

    if (WARN_ON_ONCE(bio_add_page(bio, ZERO_PAGE(0), bytes, 0) != bytes)) {
      bio_put(bio);
      return NULL;
    }
    left -= bytes;
  }
  bio->bi_iter.bi_sector = p->sector + words->done_sectors;
  words->done_sectors += sectors;
  return bio;
}

static struct bio* dmr_make_bio(struct dmr_target* t, struct dmr_io_words* words,
                                struct block_device* bdev, const struct dmr_io_params* p) {
  blk_opf_t fua = p->fua ? REQ_FUA : 0;
  // A block that is tried again is tried alone: merged with its neighbours it would fail with them.
  blk_opf_t opf = REQ_SYNC | REQ_NOMERGE | (p->op == DMR_READ ? REQ_OP_READ : REQ_OP_WRITE | fua);
  struct bio* bio;

  switch (p->op) {
    case DMR_FLUSH:
      return bio_alloc_bioset(bdev, 0, REQ_OP_WRITE | REQ_SYNC | REQ_PREFLUSH, GFP_NOIO,
                              &t->bios_set);
    case DMR_DISCARD:
      bio = bio_alloc_bioset(bdev, 0, REQ_OP_DISCARD, GFP_NOIO, &t->bios_set);
      bio->bi_iter.bi_size = p->sectors << SECTOR_SHIFT;
      break;
    default:
      if (p->buffer)
        bio = dmr_buffer_bio(t, bdev, opf, p);
      else if (p->payload)
        bio = dmr_payload_bio(t, bdev, opf, p);
      else
        return dmr_zeros_bio(t, words, bdev, opf, p);
  }
  if (bio) bio->bi_iter.bi_sector = p->sector;
  return bio;
}

static void dmr_io_start(struct dmr_target* t, struct dmr_io_words* words,
                         const struct dmr_io_params* p) {
  struct block_device* bdev = p->member < DMR_MAX_MEMBERS ? t->place[p->member] : NULL;
  bool zeros = (p->op == DMR_WRITE || p->op == DMR_WRITE_ZEROES) && !p->buffer && !p->payload;
  struct bio* bio;

  if (!bdev) return dmr_io_ended(t, words, DMR_IO_OFFLINE);
  bio = dmr_make_bio(t, words, bdev, p);
  if (!bio) return dmr_io_ended(t, words, DMR_IO_RESOURCE);
  bio->bi_private = words;
  bio->bi_end_io = zeros ? dmr_zeros_end_bio : dmr_io_end_bio;
  submit_bio(bio);
}

void dmr_host_submit(void* target, struct dmr_io_words* words) {
  struct dmr_io_params params;

  dmr_io_describe(words, &params);
  words->target = target;
  words->time_ns = ktime_get_ns();
  words->done_sectors = 0;
  dmr_io_start(target, words, &params);
}

void dmr_host_continue(struct dmr_target* t, struct dmr_io_words* words) {
  struct dmr_io_params params;

  dmr_io_describe(words, &params);
  dmr_io_start(t, words, &params);
}

static void dmr_copy(struct dmr_request* request, u64 offset, void* buffer, size_t bytes,
                     bool out) {
  struct dmr_bio* b = container_of(request, struct dmr_bio, request);
  struct bio* bio = dm_bio_from_per_bio_data(b, sizeof(*b));
  struct bvec_iter from = b->iter;
  struct bvec_iter iter;
  struct bio_vec bv;
  char* at = buffer;

  bio_advance_iter(bio, &from, offset);
  if (WARN_ON_ONCE(bytes > from.bi_size)) return;
  from.bi_size = bytes;
  __bio_for_each_segment (bv, bio, iter, from) {
    if (out)
      memcpy_from_bvec(at, &bv);
    else
      memcpy_to_bvec(&bv, at);
    at += bv.bv_len;
  }
}

void dmr_host_copy_out(struct dmr_request* request, u64 offset, void* to, size_t bytes) {
  dmr_copy(request, offset, to, bytes, true);
}

void dmr_host_copy_in(struct dmr_request* request, u64 offset, const void* from, size_t bytes) {
  dmr_copy(request, offset, (void*)from, bytes, false);
}

u64 dmr_host_now_ns(void) { return ktime_get_ns(); }

// Small and middling ones lie in the direct map; a power of two of bytes is aligned to itself.
// Whoever gets none says so, and needs no warning of the kernel's besides.
void* dmr_host_allocate(size_t bytes, size_t alignment) {
  size_t rounded = roundup_pow_of_two(max(bytes, alignment));
  gfp_t gfp = GFP_NOIO | __GFP_ZERO | __GFP_NOWARN;
  void* memory = NULL;

  if (WARN_ON_ONCE(alignment > PAGE_SIZE)) return NULL;
  if (rounded <= PAGE_SIZE) return kmalloc(rounded, gfp);
  if (rounded <= SZ_256K) memory = kmalloc(rounded, gfp | __GFP_NORETRY);
  return memory ? memory : __vmalloc(bytes, gfp);
}

void dmr_host_release(void* memory) { kvfree(memory); }

void dmr_host_random(void* out, size_t bytes) { get_random_bytes(out, bytes); }

// The caller traps: a broken invariant must not reach a disk.
void dmr_assertion_failed(const char* file, int line, const char* text) {
  pr_emerg("dm_remap: %s:%d: assertion failed: %s\n", file, line, text);
}

// One metadata block of a device of the table, before anything is open.
int dmr_host_read_sync(void* target, u32 device, u64 sector, void* block) {
  struct dmr_target* t = target;
  struct bio_vec bv;
  struct bio bio;
  int r;

  bio_init(&bio, t->dev[device]->bdev, &bv, 1, REQ_OP_READ | REQ_SYNC | REQ_META);
  bio.bi_iter.bi_sector = sector;
  __bio_add_page(&bio, virt_to_page(block), 4096, offset_in_page(block));
  r = submit_bio_wait(&bio);
  bio_uninit(&bio);
  return r;
}
