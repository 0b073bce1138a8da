// Does a packet to an address stay on this machine? Asked of the kernel's own routing (rtnetlink), so that no object of
// the API can say it: true for the machine's own addresses and for what lies behind a bridge that has nothing but
// veth ports, or has a route of its own over a veth pair, as pods of this machine do. False for everything else, and
// when in doubt.
#pragma once
#include <string_view>

namespace redoubt::egress {

// `ip` is a literal. A few system calls that never wait; answers are remembered for a few seconds. Any thread.
bool stays_on_this_machine(std::string_view ip);

}  // namespace redoubt::egress
