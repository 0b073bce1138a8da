// Records and what a look-up came to, apart from any wire format.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace redoubt::dns {

// Numbers of the IANA registry "Resource Record (RR) TYPEs".
enum class Type : uint16_t {
  A = 1,
  NS = 2,
  CNAME = 5,
  SOA = 6,
  PTR = 12,
  TXT = 16,
  AAAA = 28,
  SRV = 33,
  ANY = 255,
};
enum class Rcode : uint8_t {
  NoError = 0,
  FormErr = 1,
  ServFail = 2,
  NXDomain = 3,
  NotImp = 4,
  Refused = 5,
  BadVers = 16,
};

struct Record {
  std::string owner;  // without the last dot; "" is the question's own name
  Type type = Type::A;
  uint32_t ttl = 0;
  std::string data;     // address, target name, or text
  uint16_t port = 0;    // SRV
  uint16_t weight = 0;  // SRV; its priority is 0
  std::string mailbox;  // SOA: data is the primary server
  uint32_t serial = 0;  // SOA
  bool operator==(const Record&) const = default;
};

// A name's labels as they were sent, the root without any.
using Labels = std::vector<std::string>;

struct Lookup {
  enum class Outcome : uint8_t {
    Found,      // records
    Alias,      // one CNAME record; its target is to be looked up as well
    NoData,     // the name is there, this type isn't
    NameError,  // no such name
    NotOurs,    // no zone of the cluster's: for upstream
    NotReady,   // the cluster's state isn't known yet
  };
  Outcome outcome = Outcome::NotOurs;
  std::vector<Record> answer;
  std::vector<Record> additional;
  Record soa;  // with NoData and NameError
};

}  // namespace redoubt::dns
