// SPDX-License-Identifier: GPL-2.0-or-later
// The device mapper of this machine, through libdevmapper: it knows udev's part and makes
// /dev/mapper/NAME itself where udev does not run.
#include <sys/utsname.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <libdevmapper.h>
#include <memory>
#include <spawn.h>
#include <unistd.h>

#include <fmt/format.h>

#include "cli/kernel/kernel_log.h"
#include "cli/kernel/mapped_devices.h"
#include "cli/kernel/mapper.h"

namespace dmr::cli {
namespace {

constexpr char kTarget[] = "remap";
constexpr char kModule[] = "dm_remap";

// libdevmapper prints its errors. Here they become part of ours.
std::string last_complaint;

void keep_complaint(int level, const char* /*file*/, int /*line*/, int /*class*/,
                    const char* format, ...) {
  constexpr int kError = 3;  // as in syslog(3); the upper bits are flags
  if ((level & 7) > kError) return;
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (last_complaint.empty()) last_complaint = text;
}

struct DestroyTask {
  void operator()(dm_task* task) const { dm_task_destroy(task); }
};
using MapperTask = std::unique_ptr<dm_task, DestroyTask>;

MapperTask make_task(int kind, const std::string& name) {
  last_complaint.clear();
  dm_log_with_errno_init(keep_complaint);
  MapperTask task(dm_task_create(kind));
  if (task != nullptr && !name.empty() && dm_task_set_name(task.get(), name.c_str()) == 0) {
    task.reset();
  }
  return task;
}

// 0, or the errno of the request.
int run(dm_task* task) {
  if (dm_task_run(task) != 0) return 0;
  const int error = dm_task_get_errno(task);
  return error != 0 ? error : EIO;
}

// The same for requests that udev has to follow: returns when it has.
int run_with_udev(dm_task* task) {
  u32 cookie = 0;
  if (dm_task_set_cookie(task, &cookie, 0) == 0) return ENOMEM;
  const int error = run(task);
  dm_udev_wait(cookie);
  dm_task_update_nodes();
  return error;
}

std::unexpected<Error> no_task(const std::string& what) {
  return failed(fmt::format("{}: libdevmapper: {}", what,
                            last_complaint.empty() ? "not enough memory" : last_complaint));
}

Expected<void> need_root() {
  if (geteuid() == 0) return {};
  return failed("a volume in the kernel answers root only; use sudo");
}

bool has_target() {
  const MapperTask task = make_task(DM_DEVICE_LIST_VERSIONS, "");
  if (task == nullptr || run(task.get()) != 0) return false;
  for (dm_versions* version = dm_task_get_versions(task.get()); version != nullptr;) {
    if (std::strcmp(version->name, kTarget) == 0) return true;
    if (version->next == 0) return false;
    version = reinterpret_cast<dm_versions*>(reinterpret_cast<char*>(version) + version->next);
  }
  return false;
}

// modprobe with `option`; true when it ended well. What it says is left out: -q.
bool modprobe(const char* option) {
  const char* const arguments[] = {"modprobe", "-q", option, kModule, nullptr};
  char path[] = "PATH=/sbin:/usr/sbin:/bin:/usr/bin";
  char* const environment[] = {path, nullptr};
  posix_spawn_file_actions_t quiet;
  if (posix_spawn_file_actions_init(&quiet) != 0) return false;
  posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", 1, 0);
  pid_t child = 0;
  int error = ENOENT;
  for (const char* program : {"/sbin/modprobe", "/usr/sbin/modprobe", "/bin/modprobe"}) {
    if (error != 0 && access(program, X_OK) == 0) {
      error = posix_spawn(&child, program, &quiet, nullptr, const_cast<char* const*>(arguments),
                          environment);
    }
  }
  posix_spawn_file_actions_destroy(&quiet);
  if (error != 0) return false;
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return false;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// What the kernel calls another's, missing or stale device: refused for safety.
bool is_for_safety(int error) {
  return error == EBUSY || error == ENXIO || error == ENODEV || error == ESTALE;
}

class SystemMapper final : public DeviceMapper {
 public:
  [[nodiscard]] std::vector<MappedDevice> devices() const override {
    return mapped_devices("/sys/block");
  }

  [[nodiscard]] Expected<void> load_target() override {
    if (geteuid() != 0) return failed("the device mapper takes orders from root only; use sudo");
    if (has_target()) return {};
    (void)modprobe("-b");
    if (has_target()) return {};
    utsname kernel{};
    uname(&kernel);
    if (modprobe("-n")) {
      return failed(
          fmt::format("module {} of kernel {} cannot be loaded; see `dmesg` (with Secure Boot it "
                      "must be signed: docs/kernel.md)",
                      kModule, kernel.release));
    }
    return failed(
        fmt::format("kernel {} has no module {}; install the package dm-remap-dkms, or run "
                    "`make install-kernel`",
                    kernel.release, kModule));
  }

  [[nodiscard]] Expected<std::string> create(const Mapping& mapping) override {
    const MapperTask task = make_task(DM_DEVICE_CREATE, mapping.name);
    if (task == nullptr || dm_task_set_uuid(task.get(), mapping.uuid.c_str()) == 0 ||
        dm_task_add_target(task.get(), 0, mapping.sectors, kTarget, mapping.table.c_str()) == 0 ||
        (mapping.read_only && dm_task_set_ro(task.get()) == 0) ||
        dm_task_set_add_node(task.get(), DM_ADD_NODE_ON_CREATE) == 0) {
      return no_task(mapping.name);
    }
    KernelLog log;
    if (const int error = run_with_udev(task.get()); error != 0) {
      std::string why = log.last_words();
      if (why.empty()) why = last_complaint.empty() ? std::strerror(error) : last_complaint;
      const std::string text =
          fmt::format("the kernel does not start volume `{}`: {}", mapping.name, why);
      return is_for_safety(error) ? refused(text) : failed(text);
    }
    for (const MappedDevice& device : devices()) {
      if (device.name == mapping.name) return path_of(device);
    }
    return failed(fmt::format("the mapped device `{}` has gone again", mapping.name));
  }

  [[nodiscard]] Expected<std::string> message(const std::string& name,
                                              const std::string& words) override {
    if (auto root = need_root(); !root) return std::unexpected(root.error());
    const MapperTask task = make_task(DM_DEVICE_TARGET_MSG, name);
    if (task == nullptr || dm_task_set_sector(task.get(), 0) == 0 ||
        dm_task_set_message(task.get(), words.c_str()) == 0) {
      return no_task(name);
    }
    const int error = run(task.get());
    if (error == EAGAIN) {
      return std::unexpected(
          Error{.message = fmt::format(
                    "volume `{}` is suspended; `dmsetup resume {}` lets it go on", name, name),
                .temporary = true});
    }
    if (error == ENXIO) return failed(fmt::format("volume `{}` has been stopped", name));
    if (error != 0) {
      return failed(fmt::format("volume `{}` in the kernel does not answer `{}`: {}", name, words,
                                std::strerror(error)));
    }
    const char* const answer = dm_task_get_message_response(task.get());
    return std::string(answer == nullptr ? "" : answer);
  }

  [[nodiscard]] Expected<u64> users_of(const std::string& name) override {
    if (auto root = need_root(); !root) return std::unexpected(root.error());
    const MapperTask task = make_task(DM_DEVICE_INFO, name);
    dm_info info{};
    if (task == nullptr || run(task.get()) != 0 || dm_task_get_info(task.get(), &info) == 0 ||
        info.exists == 0) {
      return failed(fmt::format("volume `{}` has been stopped", name));
    }
    return static_cast<u64>(info.open_count);
  }

  [[nodiscard]] Expected<void> remove(const std::string& name) override {
    return remove(name, false);
  }

  [[nodiscard]] Expected<void> pull_out(const std::string& name) override {
    u64 sectors = 0;
    for (const MappedDevice& device : devices()) {
      if (device.name == name) sectors = device.sectors;
    }
    const MapperTask load = make_task(DM_DEVICE_RELOAD, name);
    if (load == nullptr || dm_task_add_target(load.get(), 0, sectors, "error", "") == 0) {
      return no_task(name);
    }
    if (const int error = run(load.get()); error != 0) return not_stopped(name, error);
    const MapperTask suspend = make_task(DM_DEVICE_SUSPEND, name);
    if (suspend == nullptr || dm_task_skip_lockfs(suspend.get()) == 0) return no_task(name);
    if (const int error = run(suspend.get()); error != 0) return not_stopped(name, error);
    const MapperTask resume = make_task(DM_DEVICE_RESUME, name);
    if (resume == nullptr) return no_task(name);
    if (const int error = run_with_udev(resume.get()); error != 0) return not_stopped(name, error);
    return remove(name, true);
  }

 private:
  static std::unexpected<Error> not_stopped(const std::string& name, int error) {
    return failed(fmt::format("volume `{}` cannot be stopped: {}", name,
                              error == EBUSY ? "it is in use" : std::strerror(error)));
  }

  Expected<void> remove(const std::string& name, bool deferred) {
    const MapperTask task = make_task(DM_DEVICE_REMOVE, name);
    // udev may still look at the device for a moment.
    if (task == nullptr || dm_task_retry_remove(task.get()) == 0 ||
        (deferred && dm_task_deferred_remove(task.get()) == 0)) {
      return no_task(name);
    }
    const int error = run_with_udev(task.get());
    if (error != 0) return not_stopped(name, error);
    return {};
  }
};

}  // namespace

DeviceMapper& system_mapper() {
  static SystemMapper mapper;
  return mapper;
}

}  // namespace dmr::cli
