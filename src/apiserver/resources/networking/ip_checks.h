// Addresses in objects, as several kinds check them. What passes here ends in nodes' rule sets, so nothing but an
// address may. Pure.
#pragma once
#include <string>
#include <string_view>

#include "apiserver/resources/hooks.h"

namespace redoubt::apiserver {

// An address of either family; a zone ("fe80::1%eth0") is none.
bool is_ip(std::string_view text, bool v6);
bool is_ip(std::string_view text);
// A cause when it is no address, or one that can't be another machine's: unspecified, loopback, link-local.
void check_endpoint_ip(std::string_view text, const std::string& field, Causes& causes);

}  // namespace redoubt::apiserver
