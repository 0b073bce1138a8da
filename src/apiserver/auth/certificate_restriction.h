// Who may approve and sign which certificate requests, and what nobody may ask for: upstream's CertificateApproval,
// CertificateSigning and CertificateSubjectRestriction admission. A pure function; any thread.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "apiserver/auth/authorizer.h"
#include "apiserver/auth/user.h"
#include "schema/value.h"

namespace redoubt::apiserver {

// Why the write to a CertificateSigningRequest (or its subresource) is forbidden, or nothing. `old` is null for a
// create.
std::optional<std::string> certificate_restriction(const Authorizer& authorizer, const UserInfo& user,
                                                   std::string_view subresource, const schema::Value& object,
                                                   const schema::Value& old);

}  // namespace redoubt::apiserver
