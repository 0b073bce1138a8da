// The node's log files under /logs/: a folder's list or a file's content, from below one root only.
#pragma once
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/task.h"
#include "net/http.h"

namespace redoubt::kubelet {

// `path` is decoded, relative to `root`. Symbolic links that lead out of `root` are not followed, nor is anything but a
// regular file read. A folder without a slash at its end is redirected to itself with one, as upstream's file server
// does. Errors: NotFound.
Task<Result<void>> serve_log_file(net::Responder& responder, std::string root, std::string path, bool slash_at_end,
                                  bool head);

}  // namespace redoubt::kubelet
