// Who may approve and sign which certificate requests, and what nobody may ask for: upstream's CertificateApproval,
// CertificateSigning and CertificateSubjectRestriction admission. A pure function; any thread.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/auth/attributes.h"
#include "schema/value.h"

namespace redoubt::apiserver {

// What a write takes: nothing more, one of some rights, or it is forbidden outright.
struct NeededRight {
  std::string denial;              // why it is forbidden; empty: it is not
  std::vector<Attributes> any_of;  // ... unless the user has one of these rights
};

// For the write to a CertificateSigningRequest (or its subresource). `old` is null for a create.
NeededRight certificate_restriction(std::string_view subresource, const schema::Value& object,
                                    const schema::Value& old);

}  // namespace redoubt::apiserver
