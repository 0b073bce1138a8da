// Reading and adding a certificate request's conditions.
#pragma once
#include <string>
#include <string_view>

#include "schema/k8s/certificates_v1.h"

namespace redoubt::controllers {

using Csr = k8s::certificates::v1::CertificateSigningRequest;

inline const k8s::certificates::v1::CertificateSigningRequestCondition* find_condition(const Csr& csr,
                                                                                       std::string_view type) {
  for (const auto& condition : csr.status.conditions) {
    if (condition.type == type) return &condition;
  }
  return nullptr;
}

inline void add_condition(Csr& csr, std::string type, std::string reason, std::string message) {
  auto& condition = csr.status.conditions.emplace_back();
  condition.type = std::move(type);
  condition.status = "True";
  condition.reason = std::move(reason);
  condition.message = std::move(message);
  condition.lastUpdateTime = schema::Time::now();
}

}  // namespace redoubt::controllers
