// The configuration that a fresh install makes for itself: Secrets are encrypted with a key of this installation's own.
#pragma once
#include <string>

#include "base/status.h"

namespace redoubt::apiserver::encryption {

// The path of FOLDER/encryption-config.yaml (0600), made with a new random key when it is not there. It is an ordinary
// EncryptionConfiguration: it can be edited, rotated and handed to kube-apiserver.
Result<std::string> ensure_default_config(const std::string& folder);

}  // namespace redoubt::apiserver::encryption
