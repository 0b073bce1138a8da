// Objects that the server itself makes and keeps.
#pragma once
#include <string>

#include "apiserver/rest.h"

namespace redoubt::apiserver {

struct OwnObject {
  std::string group, resource, ns, name, json;  // of version v1
  bool keep_current = false;                    // brought up to date when it is there already
  bool optional = false;                        // somebody else's choice may stand against it
};

// Makes it when there is none. With keep_current, of one that is there: its rules and subjects get what they lack, its
// subsets, endpoints, ports, addressType and data become what is wanted; nothing is written when that is no change.
// `rest` outlives the task.
Task<Result<void>> ensure_object(Rest& rest, OwnObject wanted);

}  // namespace redoubt::apiserver
