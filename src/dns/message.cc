#include "dns/message.h"

#include <ldns/ldns.h>

#include <boost/asio/ip/address.hpp>

#include "dns/address.h"
#include "dns/limits.h"

namespace redoubt::dns {

namespace {

constexpr size_t kHeaderBytes = 12;
constexpr size_t kMaxNameBytes = 255, kMaxLabelBytes = 63;
// The SOA's own numbers: refresh, retry, expire. Nobody transfers this zone.
constexpr uint32_t kRefresh = 7200, kRetry = 1800, kExpire = 86400;

struct FreePacket {
  void operator()(ldns_pkt* p) const { ldns_pkt_free(p); }
};
struct FreeRecord {
  void operator()(ldns_rr* r) const { ldns_rr_free(r); }
};
struct FreeData {
  void operator()(ldns_rdf* r) const { ldns_rdf_deep_free(r); }
};
using Packet = std::unique_ptr<ldns_pkt, FreePacket>;
using RecordPtr = std::unique_ptr<ldns_rr, FreeRecord>;
using Data = std::unique_ptr<ldns_rdf, FreeData>;

Packet read_packet(std::string_view wire) {
  ldns_pkt* out = nullptr;
  if (ldns_wire2pkt(&out, reinterpret_cast<const uint8_t*>(wire.data()), wire.size()) != LDNS_STATUS_OK) return {};
  return Packet(out);
}

Labels labels_of(const ldns_rdf* name) {
  Labels out;
  const uint8_t* data = ldns_rdf_data(name);
  size_t size = ldns_rdf_size(name);
  for (size_t at = 0; at < size && data[at] != 0 && at + 1 + data[at] <= size; at += 1 + data[at])
    out.emplace_back(reinterpret_cast<const char*>(data + at + 1), data[at]);
  return out;
}

// "" for what is no name.
std::string wire_name(const Labels& labels) {
  std::string out;
  for (const std::string& label : labels) {
    if (label.empty() || label.size() > kMaxLabelBytes) return "";
    out += static_cast<char>(label.size());
    out += label;
  }
  out += '\0';
  return out.size() > kMaxNameBytes ? "" : out;
}

ldns_rdf* name_data(const std::string& wire) {
  return wire.empty() ? nullptr : ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME, wire.size(), wire.data());
}

void put16(std::string& out, uint16_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value & 255);
}

std::string question_bytes(const Labels& name, uint16_t type, uint16_t klass) {
  std::string out = wire_name(name);
  if (out.empty()) return out;
  put16(out, type);
  put16(out, klass);
  return out;
}

bool push_question(ldns_pkt* packet, const Labels& name, uint16_t type, uint16_t klass) {
  ldns_rdf* owner = name_data(wire_name(name));
  if (owner == nullptr) return false;
  ldns_rr* rr = ldns_rr_new();
  ldns_rr_set_question(rr, true);
  ldns_rr_set_owner(rr, owner);
  ldns_rr_set_type(rr, static_cast<ldns_rr_type>(type));
  ldns_rr_set_class(rr, static_cast<ldns_rr_class>(klass));
  return ldns_pkt_push_rr(packet, LDNS_SECTION_QUESTION, rr);
}

bool push_name(ldns_rr* rr, const std::string& name) {
  ldns_rdf* data = name_data(wire_name(split_name(name)));
  return data != nullptr && ldns_rr_push_rdf(rr, data);
}

bool push_address(ldns_rr* rr, const std::string& text, bool v6) {
  boost::system::error_code error;
  auto address = boost::asio::ip::make_address(text, error);
  if (error || address.is_v6() != v6) return false;
  if (v6) {
    auto bytes = address.to_v6().to_bytes();
    return ldns_rr_push_rdf(rr, ldns_rdf_new_frm_data(LDNS_RDF_TYPE_AAAA, bytes.size(), bytes.data()));
  }
  auto bytes = address.to_v4().to_bytes();
  return ldns_rr_push_rdf(rr, ldns_rdf_new_frm_data(LDNS_RDF_TYPE_A, bytes.size(), bytes.data()));
}

bool push_number(ldns_rr* rr, uint16_t value) {
  return ldns_rr_push_rdf(rr, ldns_native2rdf_int16(LDNS_RDF_TYPE_INT16, value));
}
bool push_seconds(ldns_rr* rr, uint32_t value) {
  return ldns_rr_push_rdf(rr, ldns_native2rdf_int32(LDNS_RDF_TYPE_INT32, value));
}

bool push_data(ldns_rr* rr, const Record& record) {
  switch (record.type) {
    case Type::A:
      return push_address(rr, record.data, false);
    case Type::AAAA:
      return push_address(rr, record.data, true);
    case Type::NS:
    case Type::CNAME:
    case Type::PTR:
      return push_name(rr, record.data);
    case Type::SRV:
      return push_number(rr, 0) && push_number(rr, record.weight) && push_number(rr, record.port) &&
             push_name(rr, record.data);
    case Type::TXT: {
      std::string text = record.data.substr(0, 255);
      text.insert(text.begin(), static_cast<char>(text.size()));
      return ldns_rr_push_rdf(rr, ldns_rdf_new_frm_data(LDNS_RDF_TYPE_STR, text.size(), text.data()));
    }
    case Type::SOA:
      return push_name(rr, record.data) && push_name(rr, record.mailbox) && push_seconds(rr, record.serial) &&
             push_seconds(rr, kRefresh) && push_seconds(rr, kRetry) && push_seconds(rr, kExpire) &&
             push_seconds(rr, record.ttl);
    case Type::ANY:
      break;
  }
  return false;
}

bool push(ldns_pkt* packet, ldns_pkt_section section, const Record& record, const Query& query) {
  RecordPtr rr(ldns_rr_new());
  ldns_rdf* owner = name_data(wire_name(record.owner.empty() ? query.name : split_name(record.owner)));
  if (owner == nullptr) return false;
  ldns_rr_set_owner(rr.get(), owner);
  ldns_rr_set_type(rr.get(), static_cast<ldns_rr_type>(record.type));
  ldns_rr_set_class(rr.get(), LDNS_RR_CLASS_IN);
  ldns_rr_set_ttl(rr.get(), record.ttl);
  if (!push_data(rr.get(), record)) return false;
  return ldns_pkt_push_rr(packet, section, rr.release());
}

Packet begin(const Query& query, Rcode rcode) {
  Packet packet(ldns_pkt_new());
  if (!push_question(packet.get(), query.name, query.type, query.klass)) return {};
  ldns_pkt_set_id(packet.get(), query.id);
  ldns_pkt_set_qr(packet.get(), true);
  ldns_pkt_set_opcode(packet.get(), static_cast<ldns_pkt_opcode>(query.opcode));
  ldns_pkt_set_rd(packet.get(), query.recursion_desired);
  ldns_pkt_set_cd(packet.get(), query.checking_disabled);
  ldns_pkt_set_ra(packet.get(), true);
  ldns_pkt_set_rcode(packet.get(), static_cast<uint8_t>(rcode) & 15);
  if (query.edns) {
    ldns_pkt_set_edns_udp_size(packet.get(), kMaxUdpBytes);
    ldns_pkt_set_edns_extended_rcode(packet.get(), static_cast<uint8_t>(static_cast<uint8_t>(rcode) >> 4));
    ldns_pkt_set_edns_do(packet.get(), query.dnssec_ok);
  }
  return packet;
}

std::string bytes_of(const ldns_pkt* packet) {
  uint8_t* data = nullptr;
  size_t size = 0;
  std::string out;
  if (ldns_pkt2wire(&data, packet, &size) == LDNS_STATUS_OK) out.assign(reinterpret_cast<const char*>(data), size);
  LDNS_FREE(data);
  return out;
}

void clear(ldns_pkt* packet, ldns_pkt_section section) {
  ldns_rr_list* empty = ldns_rr_list_new();
  if (section == LDNS_SECTION_ANSWER) {
    ldns_rr_list_deep_free(ldns_pkt_answer(packet));
    ldns_pkt_set_answer(packet, empty);
  } else if (section == LDNS_SECTION_AUTHORITY) {
    ldns_rr_list_deep_free(ldns_pkt_authority(packet));
    ldns_pkt_set_authority(packet, empty);
  } else {
    ldns_rr_list_deep_free(ldns_pkt_additional(packet));
    ldns_pkt_set_additional(packet, empty);
  }
  ldns_pkt_set_section_count(packet, section, 0);
}

std::string fitted(ldns_pkt* packet, size_t limit) {
  std::string out = bytes_of(packet);
  if (out.size() <= limit) return out;
  clear(packet, LDNS_SECTION_ADDITIONAL);
  out = bytes_of(packet);
  if (out.size() <= limit) return out;
  clear(packet, LDNS_SECTION_ANSWER);
  clear(packet, LDNS_SECTION_AUTHORITY);
  ldns_pkt_set_tc(packet, true);
  return bytes_of(packet);
}

bool same_name(const Labels& a, const Labels& b) {
  return a.size() == b.size() && join_name(a) == join_name(b);
}

}  // namespace

std::expected<Query, Unfit> parse_query(std::string_view wire) {
  if (wire.size() < kHeaderBytes || wire.size() > kMaxQueryBytes || (wire[2] & 0x80) != 0)
    return std::unexpected(Unfit{});
  Unfit unfit;
  unfit.id = static_cast<uint16_t>(static_cast<uint8_t>(wire[0]) << 8 | static_cast<uint8_t>(wire[1]));
  unfit.rcode = Rcode::FormErr;
  Packet packet = read_packet(wire);
  if (!packet || ldns_rr_list_rr_count(ldns_pkt_question(packet.get())) != 1) {
    if ((static_cast<uint8_t>(wire[2]) >> 3 & 15) != 0) unfit.rcode = Rcode::NotImp;
    return std::unexpected(unfit);
  }
  const ldns_rr* question = ldns_rr_list_rr(ldns_pkt_question(packet.get()), 0);
  Query out;
  out.id = unfit.id;
  out.name = labels_of(ldns_rr_owner(question));
  out.type = static_cast<uint16_t>(ldns_rr_get_type(question));
  out.klass = static_cast<uint16_t>(ldns_rr_get_class(question));
  out.opcode = static_cast<uint8_t>(ldns_pkt_get_opcode(packet.get()));
  out.recursion_desired = ldns_pkt_rd(packet.get());
  out.checking_disabled = ldns_pkt_cd(packet.get());
  out.edns = ldns_pkt_edns(packet.get());
  if (out.edns) {
    out.edns_version = ldns_pkt_edns_version(packet.get());
    out.dnssec_ok = ldns_pkt_edns_do(packet.get());
    out.udp_size = std::clamp<size_t>(ldns_pkt_edns_udp_size(packet.get()), kPlainUdpBytes, kMaxUdpBytes);
  }
  out.question = question_bytes(out.name, out.type, out.klass);
  if (out.question.empty()) return std::unexpected(unfit);
  return out;
}

std::string write_answer(const Query& query, const Answer& answer, size_t limit) {
  Packet packet = begin(query, answer.rcode);
  if (!packet) return "";
  ldns_pkt_set_aa(packet.get(), answer.authoritative);
  for (const Record& r : answer.answer) {
    if (!push(packet.get(), LDNS_SECTION_ANSWER, r, query)) return "";
  }
  for (const Record& r : answer.authority) {
    if (!push(packet.get(), LDNS_SECTION_AUTHORITY, r, query)) return "";
  }
  for (const Record& r : answer.additional) {
    if (!push(packet.get(), LDNS_SECTION_ADDITIONAL, r, query)) return "";
  }
  return fitted(packet.get(), limit);
}

std::string write_failure(const Unfit& unfit) {
  if (!unfit.rcode) return "";
  std::string out(kHeaderBytes, '\0');
  out[0] = static_cast<char>(unfit.id >> 8);
  out[1] = static_cast<char>(unfit.id & 255);
  out[2] = static_cast<char>(0x80);
  out[3] = static_cast<char>(0x80 | (static_cast<uint8_t>(*unfit.rcode) & 15));
  return out;
}

std::string write_question(const Question& question, uint16_t id) {
  Packet packet(ldns_pkt_new());
  if (!push_question(packet.get(), question.name, question.type, question.klass)) return "";
  ldns_pkt_set_id(packet.get(), id);
  ldns_pkt_set_rd(packet.get(), true);
  ldns_pkt_set_cd(packet.get(), question.checking_disabled);
  ldns_pkt_set_edns_udp_size(packet.get(), kMaxUdpBytes);
  ldns_pkt_set_edns_do(packet.get(), question.dnssec_ok);
  return bytes_of(packet.get());
}

std::string cache_key(const Question& question) {
  Labels name;
  for (const std::string& label : question.name) name.push_back(lower(label));
  std::string out = question_bytes(name, question.type, question.klass);
  out += static_cast<char>((question.dnssec_ok ? 1 : 0) | (question.checking_disabled ? 2 : 0));
  return out;
}

std::optional<Reply> read_reply(std::string_view wire, const Question& question, uint16_t id) {
  Packet packet = read_packet(wire);
  if (!packet || !ldns_pkt_qr(packet.get()) || ldns_pkt_id(packet.get()) != id ||
      ldns_rr_list_rr_count(ldns_pkt_question(packet.get())) != 1)
    return std::nullopt;
  const ldns_rr* asked = ldns_rr_list_rr(ldns_pkt_question(packet.get()), 0);
  if (static_cast<uint16_t>(ldns_rr_get_type(asked)) != question.type ||
      static_cast<uint16_t>(ldns_rr_get_class(asked)) != question.klass ||
      !same_name(labels_of(ldns_rr_owner(asked)), question.name))
    return std::nullopt;
  Reply out;
  out.rcode = static_cast<Rcode>(ldns_pkt_get_rcode(packet.get()));
  out.truncated = ldns_pkt_tc(packet.get());
  if (out.truncated || (out.rcode != Rcode::NoError && out.rcode != Rcode::NXDomain)) return out;
  const ldns_rr_list *answer = ldns_pkt_answer(packet.get()), *authority = ldns_pkt_authority(packet.get());
  bool denial = out.rcode == Rcode::NXDomain || ldns_rr_list_rr_count(answer) == 0;
  uint32_t least = static_cast<uint32_t>((denial ? kMaxNegativeTtl : kMaxPositiveTtl).count());
  for (size_t i = 0; i < ldns_rr_list_rr_count(answer); ++i)
    least = std::min(least, ldns_rr_ttl(ldns_rr_list_rr(answer, i)));
  if (denial) {
    bool has_soa = false;
    for (size_t i = 0; i < ldns_rr_list_rr_count(authority); ++i) {
      const ldns_rr* rr = ldns_rr_list_rr(authority, i);
      if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_SOA || ldns_rr_rd_count(rr) != 7) continue;
      has_soa = true;
      least = std::min({least, ldns_rr_ttl(rr), ldns_rdf2native_int32(ldns_rr_rdf(rr, 6))});
    }
    if (!has_soa) least = 0;
  }
  out.ttl = least;
  return out;
}

std::string write_forwarded(const Query& query, std::string_view upstream, uint32_t age,
                            std::optional<uint32_t> stale_ttl, const std::vector<Record>& before, size_t limit) {
  Packet from = read_packet(upstream);
  if (!from) return "";
  Packet packet = begin(query, static_cast<Rcode>(ldns_pkt_get_rcode(from.get())));
  if (!packet) return "";
  ldns_pkt_set_ad(packet.get(), ldns_pkt_ad(from.get()) && before.empty());
  for (const Record& r : before) {
    if (!push(packet.get(), LDNS_SECTION_ANSWER, r, query)) return "";
  }
  auto take = [&](const ldns_rr_list* list, ldns_pkt_section section) {
    for (size_t i = 0; i < ldns_rr_list_rr_count(list); ++i) {
      ldns_rr* rr = ldns_rr_clone(ldns_rr_list_rr(list, i));
      uint32_t ttl = ldns_rr_ttl(rr);
      ldns_rr_set_ttl(rr, stale_ttl ? *stale_ttl : ttl > age ? ttl - age : 0);
      ldns_pkt_push_rr(packet.get(), section, rr);
    }
  };
  take(ldns_pkt_answer(from.get()), LDNS_SECTION_ANSWER);
  take(ldns_pkt_authority(from.get()), LDNS_SECTION_AUTHORITY);
  take(ldns_pkt_additional(from.get()), LDNS_SECTION_ADDITIONAL);
  return fitted(packet.get(), limit);
}

}  // namespace redoubt::dns
