#include "networkpolicy/resolved.h"

#include <fmt/format.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

#include "base/json_text.h"
#include "schema/codec.h"
#include "schema/value.h"

namespace redoubt::networkpolicy {

namespace ip = boost::asio::ip;
using schema::Value;

namespace {

// What a ConfigMap can hold, in entries.
constexpr size_t kMaxItems = 100'000;

void write_list(std::string& out, std::string_view key, const std::vector<std::string>& items) {
  out += fmt::format("\"{}\":[", key);
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ',';
    append_json_string(out, items[i]);
  }
  out += ']';
}

void write_rules(std::string& out, std::string_view key, const std::vector<Rule>& rules) {
  out += fmt::format("\"{}\":[", key);
  for (size_t i = 0; i < rules.size(); ++i) {
    const Rule& rule = rules[i];
    out += fmt::format("{}{{\"everybody\":{},\"anyPort\":{},", i > 0 ? "," : "", rule.everybody, rule.any_port);
    write_list(out, "addresses", rule.addresses);
    out += ',';
    write_list(out, "targets", rule.targets);
    out += ",\"blocks\":[";
    for (size_t b = 0; b < rule.blocks.size(); ++b) {
      out += b > 0 ? ",{\"cidr\":" : "{\"cidr\":";
      append_json_string(out, rule.blocks[b].cidr);
      out += ',';
      write_list(out, "except", rule.blocks[b].except);
      out += '}';
    }
    out += "],\"ports\":[";
    for (size_t p = 0; p < rule.ports.size(); ++p) {
      const PortRange& range = rule.ports[p];
      out += fmt::format("{}{{\"protocol\":\"{}\",\"first\":{},\"last\":{}}}", p > 0 ? "," : "", range.protocol,
                         range.first, range.last);
    }
    out += "]}";
  }
  out += ']';
}

bool is_address(const std::string& text) {
  boost::system::error_code error;
  auto address = ip::make_address(text, error);
  return !error && !(address.is_v6() && address.to_v6().scope_id() != 0);
}
bool is_network(const std::string& text) {
  boost::system::error_code v4, v6;
  ip::make_network_v4(text, v4);
  ip::make_network_v6(text, v6);
  return !v4 || !v6;
}

struct Reader {
  Result<std::vector<std::string>> list(const Value& value, bool (*fits)(const std::string&)) {
    std::vector<std::string> out;
    for (const Value& item : schema::items(value)) {
      out.emplace_back(item.as_string());
      if (++count_ > kMaxItems) return bad_request("too many addresses");
      if (!fits(out.back())) return bad_request(fmt::format("\"{}\" is no address", out.back()));
    }
    return out;
  }
  Result<std::vector<Rule>> rules(const Value& value) {
    std::vector<Rule> out;
    for (const Value& item : schema::items(value)) {
      if (++count_ > kMaxItems) return bad_request("too many rules");
      Rule rule;
      rule.everybody = item.get({"everybody"}).as_bool();
      rule.any_port = item.get({"anyPort"}).as_bool();
      RD_TRY(rule.addresses, list(item.get({"addresses"}), is_address));
      RD_TRY(rule.targets, list(item.get({"targets"}), is_address));
      for (const Value& block : schema::items(item.get({"blocks"}))) {
        Block made;
        made.cidr = block.get({"cidr"}).as_string();
        if (!is_network(made.cidr)) return bad_request(fmt::format("\"{}\" is no network", made.cidr));
        RD_TRY(made.except, list(block.get({"except"}), is_network));
        rule.blocks.push_back(std::move(made));
      }
      for (const Value& port : schema::items(item.get({"ports"}))) {
        PortRange range{std::string(port.get({"protocol"}).as_string()), 0, 0};
        int64_t first = port.get({"first"}).as_int(), last = port.get({"last"}).as_int();
        if ((range.protocol != "tcp" && range.protocol != "udp" && range.protocol != "sctp") || first < 0 ||
            first > last || last > 65535)
          return bad_request("no protocol or port");
        range.first = static_cast<uint16_t>(first);
        range.last = static_cast<uint16_t>(last);
        rule.ports.push_back(std::move(range));
      }
      out.push_back(std::move(rule));
    }
    return out;
  }

 private:
  size_t count_ = 0;
};

}  // namespace

std::string to_json(const Policy& policy) {
  std::string out = "{\"name\":";
  append_json_string(out, policy.name);
  out += fmt::format(",\"ingress\":{},\"egress\":{},", policy.ingress, policy.egress);
  write_list(out, "pods", policy.pods);
  out += ',';
  write_rules(out, "ingressRules", policy.ingress_rules);
  out += ',';
  write_rules(out, "egressRules", policy.egress_rules);
  return out + "}";
}

Result<Policy> parse_policy(std::string_view json) {
  schema::Arena arena;
  RD_TRY(Value value, schema::parse_json(json, arena));
  Reader reader;
  Policy out;
  out.name = value.get({"name"}).as_string();
  out.ingress = value.get({"ingress"}).as_bool();
  out.egress = value.get({"egress"}).as_bool();
  RD_TRY(out.pods, reader.list(value.get({"pods"}), is_address));
  RD_TRY(out.ingress_rules, reader.rules(value.get({"ingressRules"})));
  RD_TRY(out.egress_rules, reader.rules(value.get({"egressRules"})));
  return out;
}

}  // namespace redoubt::networkpolicy
