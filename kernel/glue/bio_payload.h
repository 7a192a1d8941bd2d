// SPDX-License-Identifier: GPL-2.0-or-later
// The data of a held bio as the engine sees it, and the engine's request for that bio. Both lie in
// the bio's own per-bio data, so a failed request needs no memory to be recovered.
#pragma once

#include "core/volume/request.h"
#include "kernel/dmr_shim.h"

namespace dmr::kernel {

class BioPayload final : public Payload {
 public:
  explicit BioPayload(dmr_request* bio) : bio_(bio) {}
  void copy_out(u64 offset_bytes, std::span<std::byte> to) const override {
    dmr_host_copy_out(bio_, offset_bytes, to.data(), to.size());
  }
  void copy_in(u64 offset_bytes, std::span<const std::byte> from) override {
    dmr_host_copy_in(bio_, offset_bytes, from.data(), from.size());
  }
  [[nodiscard]] dmr_request* bio() const { return bio_; }

 private:
  dmr_request* bio_;
};

// Every Payload that a device I/O carries is a BioPayload: the scrub has another, for reads, which
// come by buffers.
[[nodiscard]] inline dmr_request* bio_of(Payload& payload) {
  return static_cast<BioPayload&>(payload).bio();
}

struct BioRequest {
  explicit BioRequest(dmr_request* bio) : payload(bio) {}
  Request request;
  BioPayload payload;
};
static_assert(sizeof(BioRequest) <= sizeof(dmr_request::engine));
static_assert(alignof(BioRequest) <= alignof(dmr_request));

}  // namespace dmr::kernel
