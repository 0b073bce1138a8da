// DNS messages on the wire (RFC 1035, EDNS0 by RFC 6891), by the ldns library; nothing else in dns/ knows it.
//
// Bytes come from anybody: every function here takes any. Pure; any thread.
#pragma once
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dns/record.h"

namespace redoubt::dns {

struct Query {
  uint16_t id = 0;
  Labels name;  // as sent
  uint16_t type = 0;
  uint16_t klass = 1;
  uint8_t opcode = 0;
  bool recursion_desired = false;
  bool checking_disabled = false;
  bool edns = false;
  uint8_t edns_version = 0;
  bool dnssec_ok = false;
  size_t udp_size = 512;  // what the client takes over UDP
  std::string question;   // name in wire form as sent, type and class: what an answer repeats
};

// What can't be answered as a query: nothing at all (a response, or no header), or with this code.
struct Unfit {
  std::optional<Rcode> rcode;
  uint16_t id = 0;
};
std::expected<Query, Unfit> parse_query(std::string_view wire);

struct Answer {
  Rcode rcode = Rcode::NoError;
  bool authoritative = false;
  std::vector<Record> answer;
  std::vector<Record> authority;
  std::vector<Record> additional;
};

// The wire form of an answer, at most `limit` bytes: else without additional records, else empty with the TC bit. Empty
// when it can't be written at all (a name that is none).
std::string write_answer(const Query& query, const Answer& answer, size_t limit);
// To what was no query.
std::string write_failure(const Unfit& unfit);

// A question to an upstream resolver.
struct Question {
  Labels name;
  uint16_t type = 0;
  uint16_t klass = 1;
  bool dnssec_ok = false;
  bool checking_disabled = false;
};
// "" when the name is none.
std::string write_question(const Question& question, uint16_t id);
// What two questions with the same answer have in common.
std::string cache_key(const Question& question);

// What matters of an upstream resolver's message.
struct Reply {
  Rcode rcode = Rcode::NoError;
  bool truncated = false;
  uint32_t ttl = 0;  // the least of its records, or for a denial what its SOA says (RFC 2308); 0: not to be kept
};
// Nothing unless it is an answer to this question with this id.
std::optional<Reply> read_reply(std::string_view wire, const Question& question, uint16_t id);

// An upstream resolver's answer for a client: the client's id and question, TTLs less `age` seconds, or `stale_ttl`
// instead. `before` stands first in the answer (the CNAMEs that led there).
std::string write_forwarded(const Query& query, std::string_view upstream, uint32_t age,
                            std::optional<uint32_t> stale_ttl, const std::vector<Record>& before, size_t limit);

}  // namespace redoubt::dns
