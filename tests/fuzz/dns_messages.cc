// Any bytes as a question and as a resolver's answer: no crash, and what is answered is an answer to what was asked.
#include <cstdlib>
#include <string_view>

#include "dns/address.h"
#include "dns/cluster_records.h"
#include "dns/limits.h"
#include "dns/message.h"

using namespace redoubt::dns;

namespace {

const ClusterRecords& records() {
  static ClusterRecords* made = [] {
    auto* out = new ClusterRecords("cluster.local", {"10.244.0.0/16"});
    k8s::core::v1::Service s;
    s.metadata.namespace_ = "shop";
    s.metadata.name = "web";
    s.spec.clusterIP = "10.96.3.4";
    out->set_service(s);
    out->set_ready();
    return out;
  }();
  return *made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view wire(reinterpret_cast<const char*>(data), size);
  auto query = parse_query(wire);
  if (!query) {
    (void)write_failure(query.error());
  } else {
    Lookup found = records().lookup(query->name, static_cast<Type>(query->type));
    Answer answer;
    answer.answer = found.answer;
    answer.additional = found.additional;
    if (found.outcome == Lookup::Outcome::NoData || found.outcome == Lookup::Outcome::NameError)
      answer.authority = {found.soa};
    std::string out = write_answer(*query, answer, query->udp_size);
    if (out.size() > query->udp_size) std::abort();
    Question asked{query->name, query->type, query->klass, query->dnssec_ok, query->checking_disabled};
    if (!out.empty() && !read_reply(out, asked, query->id)) std::abort();
    (void)write_question(asked, 1);
    (void)cache_key(asked);
  }
  static const Query client = *parse_query(write_question({.name = split_name("a.test"), .type = 1}, 7));
  uint16_t id = size >= 2 ? static_cast<uint16_t>(data[0] << 8 | data[1]) : 0;
  if (read_reply(wire, {.name = split_name("a.test"), .type = 1}, id)) {
    std::string out = write_forwarded(client, wire, 1, std::nullopt, {}, kPlainUdpBytes);
    if (out.size() > kPlainUdpBytes) std::abort();
  }
  return 0;
}
