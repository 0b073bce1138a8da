// When a certificate request is over.
#pragma once
#include "base/time.h"
#include "controllers/certificates/conditions.h"

namespace redoubt::controllers {

// Denied, failed, issued or approved for an hour, pending for a day, or with a certificate that has expired.
bool is_over(const Csr& csr, Timestamp present);

}  // namespace redoubt::controllers
