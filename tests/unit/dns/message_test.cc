#include "dns/message.h"

#include <gtest/gtest.h>

#include "dns/address.h"
#include "dns/limits.h"

namespace redoubt::dns {
namespace {

// As a client sends it.
std::string question(std::string_view name, Type type, uint16_t id = 0x1234) {
  return write_question({.name = split_name(name), .type = static_cast<uint16_t>(type)}, id);
}
Query parsed(const std::string& wire) {
  auto query = parse_query(wire);
  EXPECT_TRUE(query);
  return query.value_or(Query{});
}
unsigned rcode(const std::string& wire) {
  return static_cast<unsigned>(wire.at(3)) & 15;
}
bool truncated(const std::string& wire) {
  return (static_cast<unsigned>(wire.at(2)) & 2) != 0;
}

TEST(Message, AQuestionIsReadWithItsNameAsSent) {
  Query query = parsed(question("WwW.Example.test", Type::AAAA));
  EXPECT_EQ(query.id, 0x1234);
  EXPECT_EQ(query.name, (Labels{"WwW", "Example", "test"}));
  EXPECT_EQ(query.type, static_cast<uint16_t>(Type::AAAA));
  EXPECT_TRUE(query.edns);
  EXPECT_EQ(query.udp_size, kMaxUdpBytes);
}

TEST(Message, WhatIsNoQuestionGetsAFormErrorOrNothing) {
  EXPECT_FALSE(parse_query("short").error().rcode);
  std::string response = question("a.test", Type::A);
  response[2] = static_cast<char>(0x80);
  EXPECT_FALSE(parse_query(response).error().rcode);  // or two servers would answer each other for ever
  std::string cut = question("a.test", Type::A).substr(0, 15);
  auto unfit = parse_query(cut);
  ASSERT_FALSE(unfit);
  EXPECT_EQ(rcode(write_failure(unfit.error())), 1U);
}

TEST(Message, AnAnswerHoldsItsRecordsAndIsUnderstood) {
  Query query = parsed(question("_http._tcp.db.shop.svc.cluster.local", Type::SRV));
  Answer answer;
  answer.authoritative = true;
  answer.answer = {{.owner = "", .type = Type::SRV, .ttl = 5, .data = "db-0.db.shop.svc.cluster.local", .port = 8080}};
  answer.additional = {{.owner = "db-0.db.shop.svc.cluster.local", .type = Type::A, .ttl = 5, .data = "10.244.1.5"}};
  std::string wire = write_answer(query, answer, kMaxUdpBytes);
  auto reply = read_reply(wire, {.name = query.name, .type = query.type}, 0x1234);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->ttl, 5U);
  EXPECT_NE(wire.find(std::string("\x0a\xf4\x01\x05", 4)), std::string::npos);
}

TEST(Message, WhatDoesNotFitIsCutAndSaysSo) {
  Query query = parsed(question("db.shop.svc.cluster.local", Type::A));
  Answer answer;
  for (int i = 0; i < 100; ++i)
    answer.answer.push_back({.owner = "", .type = Type::A, .ttl = 5, .data = fmt::format("10.244.1.{}", i)});
  std::string wire = write_answer(query, answer, kMaxUdpBytes);
  EXPECT_LE(wire.size(), kMaxUdpBytes);
  EXPECT_TRUE(truncated(wire));
  EXPECT_FALSE(truncated(write_answer(query, answer, kMaxTcpBytes)));
}

TEST(Message, AnAnswerToAnotherQuestionOrIdIsNone) {
  Query query = parsed(question("a.test", Type::A));
  std::string wire = write_answer(query, {}, kMaxUdpBytes);
  Question asked{.name = split_name("a.test"), .type = 1};
  EXPECT_TRUE(read_reply(wire, asked, 0x1234));
  EXPECT_FALSE(read_reply(wire, asked, 0x1235));
  EXPECT_FALSE(read_reply(wire, {.name = split_name("b.test"), .type = 1}, 0x1234));
  EXPECT_FALSE(read_reply(wire, {.name = split_name("a.test"), .type = 28}, 0x1234));
}

TEST(Message, AForwardedAnswerCarriesTheClientsIdAndOlderTtls) {
  Query upstream = parsed(question("a.test", Type::A, 1));
  Answer answer;
  answer.answer = {{.owner = "", .type = Type::A, .ttl = 100, .data = "192.0.2.1"}};
  std::string wire = write_answer(upstream, answer, kMaxUdpBytes);
  Query client = parsed(question("A.test", Type::A, 0x4242));
  std::string out = write_forwarded(client, wire, 30, std::nullopt, {}, kMaxUdpBytes);
  auto reply = read_reply(out, {.name = split_name("a.test"), .type = 1}, 0x4242);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->ttl, 70U);
  EXPECT_NE(out.find("\x01"
                     "A"
                     "\x04test"),
            std::string::npos)
      << "the question as the client wrote it";
  EXPECT_EQ(read_reply(write_forwarded(client, wire, 30, 7, {}, kMaxUdpBytes),
                       {.name = split_name("a.test"), .type = 1}, 0x4242)
                ->ttl,
            7U);
}

TEST(Message, ADenialIsKeptAsLongAsItsSoaSays) {
  Query query = parsed(question("nope.test", Type::A));
  Answer answer;
  answer.rcode = Rcode::NXDomain;
  Question asked{.name = split_name("nope.test"), .type = 1};
  EXPECT_EQ(read_reply(write_answer(query, answer, 512), asked, 0x1234)->ttl, 0U);
  answer.authority = {{.owner = "test", .type = Type::SOA, .ttl = 9, .data = "ns.test", .mailbox = "h.test"}};
  EXPECT_EQ(read_reply(write_answer(query, answer, 512), asked, 0x1234)->ttl, 9U);
}

TEST(Message, UnknownEdnsVersionsAreNamedInTheAnswer) {
  Query query = parsed(question("a.test", Type::A));
  Answer answer;
  answer.rcode = Rcode::BadVers;
  std::string wire = write_answer(query, answer, 512);
  EXPECT_EQ(rcode(wire), 0U);  // its upper bits are in the OPT record
  EXPECT_NE(wire.find(std::string("\x00\x00\x29\x04\xd0\x01", 6)), std::string::npos);
}

}  // namespace
}  // namespace redoubt::dns
