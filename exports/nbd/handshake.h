// SPDX-License-Identifier: GPL-2.0-or-later
// The fixed newstyle handshake as a state machine without I/O: the client's bytes go in, the
// server's bytes come out. One for each connection.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/types.h"
#include "exports/nbd/limits.h"
#include "exports/nbd/protocol.h"

namespace dmr::nbd {

// What the server says of its one export.
struct ExportInfo {
  std::string name;  // also served under the empty name, the protocol's default
  u64 bytes = 0;
  u32 minimum_block = 512;
  u32 preferred_block = 4096;
  bool read_only = false;

  [[nodiscard]] u16 transmission_flags() const;
};

class Handshake {
 public:
  enum class State : u8 {
    haggling,      // more bytes of the client are needed
    transmission,  // agreed: send the output, then serve requests
    closing,       // the client has said goodbye: send the output, then close
    broken,        // the client violates the protocol: close at once
  };

  explicit Handshake(const ExportInfo& info);

  // Takes bytes from the client; returns how many. Fewer than given only when the handshake is
  // over: the rest are requests.
  [[nodiscard]] std::size_t receive(std::span<const std::byte> bytes);
  // What is to be sent; valid until the next call of receive().
  [[nodiscard]] std::span<const std::byte> output() const { return output_; }
  void output_sent() { output_.clear(); }
  // From now on every option but ABORT is answered with ERR_SHUTDOWN.
  void shut_down() { shutting_down_ = true; }

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool structured_replies() const { return structured_; }

 private:
  enum class Step : u8 { client_flags, option_header, option_data, skip_data };

  void take_client_flags();
  void take_option_header();
  void take_option();
  void finish_step();
  void expect(Step step, u32 bytes);

  void option_export_name();
  void option_list();
  void option_info_or_go();
  void option_structured_reply();

  void reply(OptionReply type, std::span<const std::byte> data = {});
  void reply_error(OptionReply type, std::string_view text);
  void send(std::span<const std::byte> bytes);
  [[nodiscard]] bool is_ours(std::span<const std::byte> name) const;

  const ExportInfo& info_;
  std::vector<std::byte> output_;
  std::array<std::byte, kMaxOptionBytes> input_{};
  u32 have_ = 0;    // bytes of this step that have come
  u32 needed_ = 0;  // bytes that end this step
  u32 option_ = 0;
  u32 options_ = 0;
  State state_ = State::haggling;
  Step step_ = Step::client_flags;
  bool no_zeroes_ = false;
  bool structured_ = false;
  bool shutting_down_ = false;
};

}  // namespace dmr::nbd
