#include "apiserver/encryption/default_config.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <unistd.h>

#include <filesystem>

#include "base/encoding.h"
#include "base/random.h"
#include "pki/certificate.h"

namespace redoubt::apiserver::encryption {

Result<std::string> ensure_default_config(const std::string& folder) {
  namespace fs = std::filesystem;
  std::string path = folder + "/encryption-config.yaml";
  std::error_code error;
  if (fs::exists(path, error)) return path;
  fs::create_directories(folder, error);
  if (error) return service_unavailable(fmt::format("can't make the folder {}: {}", folder, error.message()));
  fs::permissions(folder, fs::perms::owner_all, error);
  unsigned char key[32];
  random_bytes(key);
  std::string secret = base64_encode({reinterpret_cast<char*>(key), sizeof key});
  OPENSSL_cleanse(key, sizeof key);
  // A name of its own, so that a value of another installation's key is told apart from a damaged one.
  std::string text = fmt::format(
      "# The key that Secrets are encrypted with in this installation's database. Without it they can't be read:\n"
      "# a backup of the database needs this file too. Changing keys: docs/security.md.\n"
      "apiVersion: apiserver.config.k8s.io/v1\n"
      "kind: EncryptionConfiguration\n"
      "resources:\n"
      "- resources: [\"secrets\"]\n"
      "  providers:\n"
      "  - secretbox:\n"
      "      keys:\n"
      "      - name: key-{}\n"
      "        secret: {}\n"
      "  - identity: {{}}\n",
      random_suffix(8), secret);
  auto written = pki::write_file(path, text, 0600);
  OPENSSL_cleanse(secret.data(), secret.size());
  OPENSSL_cleanse(text.data(), text.size());
  if (!written) return Error(written.error());
  return path;
}

}  // namespace redoubt::apiserver::encryption
