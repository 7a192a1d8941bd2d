// SPDX-License-Identifier: GPL-2.0-or-later
// The engine's executor: one ordered workqueue for each target. Whatever happens elsewhere, in
// interrupts too, is put on a lock-free list; the work item hands it to the engine and lets it run.
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "kernel/dmr.h"

#define DMR_ROUNDS 256  // before the work item makes way for others

void dmr_kick(struct dmr_target* t) { queue_work(t->wq, &t->work); }

// From any context. As soon as it lies on the list, the executor may finish what was the last thing
// to keep the target: its end waits for a grace period, for the rest of this function.
void dmr_post(struct dmr_target* t, struct llist_node* node, struct llist_head* list) {
  rcu_read_lock();
  llist_add(node, list);
  dmr_kick(t);
  rcu_read_unlock();
}

static bool dmr_take_calls(struct dmr_target* t) {
  struct llist_node* list = llist_reverse_order(llist_del_all(&t->calls));
  struct dmr_call *call, *next;

  llist_for_each_entry_safe (call, next, list, node) {
    call->fn(t, call->arg);
    complete(&call->done);
  }
  return list;
}

static bool dmr_take_ended(struct dmr_target* t) {
  struct llist_node* io = llist_reverse_order(llist_del_all(&t->ended_io));
  struct llist_node* grace = llist_reverse_order(llist_del_all(&t->ended_grace));
  bool any = io || grace;

  while (io) {
    struct dmr_io_words* words = (struct dmr_io_words*)io;

    io = io->next;
    if (words->status == DMR_IO_CONTINUE)
      dmr_host_continue(t, words);
    else
      dmr_io_done(words);
  }
  while (grace) {
    struct dmr_grace* work = (struct dmr_grace*)grace;

    grace = grace->next;
    dmr_grace_done(work);
  }
  return any;
}

static bool dmr_take_bios(struct dmr_target* t) {
  struct llist_node* list = llist_reverse_order(llist_del_all(&t->bios));
  struct dmr_bio *b, *next;

  llist_for_each_entry_safe (b, next, list, node) dmr_volume_submit(t->volume, &b->request);
  return list;
}

static bool dmr_take_flush_failures(struct dmr_target* t) {
  int members = atomic_xchg(&t->flush_failures, 0);
  unsigned int m;

  for (m = 0; m < DMR_MAX_MEMBERS; m++)
    if (members & (1 << m)) dmr_volume_flush_failed(t->volume, m, READ_ONCE(t->flush_status[m]));
  return members;
}

static bool dmr_give_pages(struct dmr_target* t) {
  // Opening cannot go on without; a running volume gets them later.
  gfp_t gfp = GFP_NOIO | __GFP_NOWARN | (t->running ? __GFP_NORETRY : 0);
  bool any = false;

  while (t->pages_wanted && t->volume) {
    // A power of two of bytes is aligned to itself.
    void* page = kmalloc(16384, gfp);

    if (!page) break;
    t->pages_wanted--;
    dmr_volume_give_page(t->volume, page);
    any = true;
  }
  return any;
}

static bool dmr_round(struct dmr_target* t) {
  bool any = dmr_take_calls(t), more;

  if (!t->volume) return any;
  any |= dmr_take_ended(t);
  any |= dmr_take_flush_failures(t);
  any |= dmr_take_bios(t);
  if (test_and_clear_bit(DMR_WANT_DRAINS, &t->wanted)) {
    dmr_volume_check_drains(t->volume);
    any = true;
  }
  if (test_and_clear_bit(DMR_WANT_TIMER, &t->wanted)) {
    dmr_give_pages(t);
    dmr_volume_timer(t->volume);
    any = true;
  }
  more = dmr_volume_run(t->volume);
  // For whoever asks for the state; writes look for themselves.
  if (READ_ONCE(t->running)) dmr_flush_latched(t);
  return more || any;
}

static void dmr_work(struct work_struct* work) {
  struct dmr_target* t = container_of(work, struct dmr_target, work);
  unsigned int flags = memalloc_noio_save();
  unsigned int round;
  bool more = true;

  for (round = 0; more && round < DMR_ROUNDS; round++) {
    struct blk_plug plug;

    blk_start_plug(&plug);
    more = dmr_round(t);
    blk_finish_plug(&plug);
    cond_resched();
  }
  memalloc_noio_restore(flags);
  // Memory was short: no completion need ever come that would ask again.
  if (t->pages_wanted && t->volume) timer_reduce(&t->timer, jiffies + HZ / 50);
  if (more) dmr_kick(t);
}

void dmr_call(struct dmr_target* t, void (*fn)(struct dmr_target* t, void* arg), void* arg) {
  struct dmr_call call = {.fn = fn, .arg = arg};

  init_completion(&call.done);
  llist_add(&call.node, &t->calls);
  dmr_kick(t);
  wait_for_completion(&call.done);
}

static void dmr_timer(struct timer_list* timer) {
  struct dmr_target* t = timer_container_of(t, timer, timer);

  set_bit(DMR_WANT_TIMER, &t->wanted);
  dmr_kick(t);
}

void dmr_host_wake_at(void* target, u64 deadline_ns) {
  struct dmr_target* t = target;
  u64 now = ktime_get_ns();
  u64 delay = deadline_ns > now ? deadline_ns - now : 0;

  // Moves the timer forward only.
  timer_reduce(&t->timer, jiffies + nsecs_to_jiffies(delay) + 1);
}

void dmr_host_request_pages(void* target, u32 count) {
  struct dmr_target* t = target;

  t->pages_wanted += count;
  dmr_give_pages(t);
}

static void dmr_grace_ended(struct rcu_head* head) {
  struct dmr_grace* grace = container_of((void*)head, struct dmr_grace, words);
  struct dmr_target* t = grace->link;

  dmr_post(t, (struct llist_node*)&grace->link, &t->ended_grace);
}

void dmr_host_after_grace(void* target, struct dmr_grace* grace) {
  BUILD_BUG_ON(sizeof(struct rcu_head) > sizeof(grace->words));
  grace->link = target;
  call_rcu((struct rcu_head*)grace->words, dmr_grace_ended);
}

s64 dmr_host_in_flight(void* target, u32 slot) {
  struct dmr_target* t = target;
  s64 sum = 0;
  int cpu;

  for_each_possible_cpu (cpu) sum += READ_ONCE(per_cpu_ptr(t->cpu, cpu)->in_flight[slot]);
  // Whoever has left has done so before whatever follows from it.
  smp_mb();
  return sum;
}

void dmr_host_wake(void* waiter) { complete(waiter); }

int dmr_executor_init(struct dmr_target* t) {
  init_llist_head(&t->ended_io);
  init_llist_head(&t->ended_grace);
  init_llist_head(&t->bios);
  init_llist_head(&t->calls);
  INIT_WORK(&t->work, dmr_work);
  timer_setup(&t->timer, dmr_timer, 0);
  t->wq = alloc_ordered_workqueue("dm_remap", WQ_MEM_RECLAIM);
  return t->wq ? 0 : -ENOMEM;
}

// The volume is closed: nothing comes any more but a late timer, and the end of dmr_post().
void dmr_executor_exit(struct dmr_target* t) {
  timer_delete_sync(&t->timer);
  synchronize_rcu();
  destroy_workqueue(t->wq);
}
