#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "paths/report.h"

namespace redoubt::paths {

namespace {

constexpr size_t kColumns = 100;

std::string coloured(Verdict verdict, std::string text, bool colour) {
  if (!colour) return text;
  const char* code = verdict == Verdict::Secure ? "32"
                     : verdict == Verdict::Weak ? "33"
                     : verdict == Verdict::Open ? "1;31"
                                                : "2";
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

// Terminal columns, not bytes: code points of UTF-8.
size_t width(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string cut(std::string text, size_t columns) {
  if (width(text) <= columns) return text;
  size_t at = 0;
  for (size_t n = 0; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xC0) != 0x80 && ++n == columns) break;
  }
  return text.substr(0, at) + "…";
}

std::string pad(std::string text, size_t columns) {
  size_t n = width(text);
  if (n < columns) text.append(columns - n, ' ');
  return text;
}

std::string transport(const Observation& o, bool wide) {
  std::string out = o.tls_version;
  if (wide && !o.cipher.empty()) out += " " + o.cipher;
  if (!o.tunnel.empty()) out += (out.empty() ? "" : ", ") + o.tunnel;
  return out.empty() ? "-" : out;
}

std::string authority(const Observation& o, bool wide) {
  std::string out = o.verified_by.empty() ? "-" : o.verified_by;
  if (o.days_left) out += wide ? fmt::format(" ({} days)", *o.days_left) : fmt::format(" {}d", *o.days_left);
  return out;
}

std::string count(const Observation& o) {
  return o.live ? std::to_string(*o.live) : "-";
}

// Rows of different nodes that say the same, as one.
std::vector<Observation> merged(const std::vector<Observation>& all) {
  std::vector<Observation> out;
  std::vector<size_t> nodes;
  for (const Observation& o : all) {
    auto same = [&](const Observation& other) {
      const Finding *a = o.worst(), *b = other.worst();
      return !o.node.empty() && !other.node.empty() && o.path == other.path && o.verdict() == other.verdict() &&
             o.tunnel == other.tunnel && o.tls_version == other.tls_version && o.verified_by == other.verified_by &&
             a && b && a->id == b->id;
    };
    auto it = std::ranges::find_if(out, same);
    if (it == out.end()) {
      out.push_back(o);
      nodes.push_back(1);
      continue;
    }
    size_t& n = nodes[static_cast<size_t>(it - out.begin())];
    ++n;
    if (it->live && o.live) *it->live += *o.live;
    if (it->days_left && o.days_left) it->days_left = std::min(*it->days_left, *o.days_left);
    bool inwards = o.path == "kubelet-apiserver" || o.path == "tunnel-reverse" || o.path == "tunnel-konnectivity";
    (inwards ? it->from : it->to) = fmt::format("{} nodes", n);
  }
  return out;
}

// Text in lines of at most `columns`, each after `indent` blanks.
void append_wrapped(std::string& out, std::string_view text, size_t indent, size_t columns) {
  std::string line(indent, ' ');
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find(' ', at);
    std::string_view word = text.substr(at, end == std::string_view::npos ? text.size() - at : end - at);
    if (line.size() > indent && width(line) + 1 + width(word) > columns) {
      out += line + "\n";
      line.assign(indent, ' ');
    }
    if (line.size() > indent) line += ' ';
    line += word;
    if (end == std::string_view::npos) break;
    at = end + 1;
  }
  out += line + "\n";
}

std::string summary(const Report& report) {
  std::string out;
  for (Verdict v : {Verdict::Open, Verdict::Weak, Verdict::Unknown, Verdict::Secure, Verdict::Unused}) {
    if (size_t n = report.count(v); n > 0) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", n, verdict_name(v));
  }
  return out;
}

std::string lined_up(const std::vector<std::vector<std::string>>& cells) {
  std::vector<size_t> widths(cells[0].size());
  for (const auto& row : cells) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string out;
  for (const auto& row : cells) {
    for (size_t i = 0; i < row.size(); ++i) out += i + 1 == row.size() ? row[i] + "\n" : pad(row[i], widths[i]) + "   ";
  }
  return out;
}

// Every tunnel that the server holds.
void append_tunnels(std::string& out, const Report& report) {
  std::vector<std::vector<std::string>> cells = {
      {"TUNNEL", "NODE", "PEER", "SINCE", "STREAMS", "TO NODE", "FROM NODE", "ROUND TRIP", "LAST ERROR"}};
  auto dash = [](std::string text) { return text.empty() ? std::string("-") : text; };
  for (const Observation& o : report.observations) {
    for (const TunnelSeen& t : o.tunnels) {
      std::string round_trip =
          t.round_trip ? fmt::format("{:.1f} ms", static_cast<double>(t.round_trip->count()) / 1000) : std::string();
      cells.push_back({t.up ? t.kind : t.kind + " (not up)", t.node, dash(t.peer),
                       dash(t.since ? format_rfc3339(*t.since) : std::string()), std::to_string(t.streams),
                       fmt::format("{} bytes", t.bytes_to_node), fmt::format("{} bytes", t.bytes_from_node),
                       dash(round_trip), dash(t.last_error)});
    }
  }
  if (cells.size() > 1) out += "\n" + lined_up(cells);
}

}  // namespace

std::string report_table(const Report& report, const TableOptions& options) {
  std::vector<Observation> rows = options.wide ? report.observations : merged(report.observations);
  constexpr size_t kCells = 7;
  std::vector<std::vector<std::string>> cells;
  if (options.wide)
    cells.push_back({"PATH", "FROM", "TO", "LIVE", "TRANSPORT", "CLIENT", "SERVER", "AUTHORIZATION", "VERIFIED BY",
                     "VERDICT", "ADVICE"});
  else
    cells.push_back({"PATH", "FROM", "TO", "LIVE", "TRANSPORT", "VERIFIED BY", "VERDICT"});
  auto dash = [](const std::string& text) { return text.empty() ? std::string("-") : text; };
  for (const Observation& o : rows) {
    std::string verdict(verdict_name(o.verdict()));
    const Finding* worst = o.worst();
    if (options.wide)
      cells.push_back({o.path, o.from, o.to, count(o), transport(o, true), dash(o.client_identity),
                       dash(o.server_identity), dash(o.authorization), authority(o, true), verdict,
                       worst ? dash(worst->advice) : "-"});
    else
      cells.push_back({o.path, cut(o.from, 16), cut(o.to, 18), count(o), cut(transport(o, false), 16),
                       cut(authority(o, false), 14), verdict});
  }
  std::vector<size_t> widths(cells[0].size());
  for (const auto& row : cells) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  static_assert(19 + 16 + 18 + 4 + 16 + 14 + 7 + (kCells - 1) <= kColumns);
  std::string out;
  for (size_t r = 0; r < cells.size(); ++r) {
    for (size_t i = 0; i < cells[r].size(); ++i) {
      bool last = i + 1 == cells[r].size(), is_verdict = r > 0 && i == (options.wide ? 9U : 6U);
      std::string cell = last ? cells[r][i] : pad(cells[r][i], widths[i]);
      out += is_verdict ? coloured(rows[r - 1].verdict(), std::move(cell), options.colour) : cell;
      if (!last) out += options.wide ? "   " : " ";
    }
    out += '\n';
    if (options.wide || r == 0) continue;
    const Observation& o = rows[r - 1];
    if (o.verdict() != Verdict::Weak && o.verdict() != Verdict::Open) continue;
    // Each thing that is wrong, the worst first, with its remedy.
    std::vector<const Finding*> wrong;
    for (const Finding& f : o.findings) {
      if (f.verdict >= Verdict::Weak) wrong.push_back(&f);
    }
    std::ranges::stable_sort(wrong, std::greater{}, [](const Finding* f) { return f->verdict; });
    for (const Finding* f : wrong) {
      append_wrapped(out, fmt::format("{}: {}.", f->id, f->saw), 4, kColumns);
      if (!f->advice.empty()) append_wrapped(out, "-> " + f->advice, 6, kColumns);
    }
  }
  if (options.wide) append_tunnels(out, report);
  out += fmt::format("\n{}: {}{}\n", report.cluster, summary(report), report.probed ? ", probed" : "");
  return out;
}

std::string probes_text(const Report& report, const TableOptions& options) {
  std::string out;
  for (const ProbeResult& p : report.probes) {
    std::string verdict(p.verdict == Verdict::Unknown ? "not done" : verdict_name(p.verdict));
    out += fmt::format("{} {} {}{}\n", coloured(p.verdict, pad(verdict, 8), options.colour), p.path, p.id,
                       p.node.empty() ? "" : " (" + p.node + ")");
    append_wrapped(out, "did: " + p.did, 9, kColumns);
    append_wrapped(out, "saw: " + p.saw, 9, kColumns);
  }
  return out;
}

int exit_status(const Report& report, Verdict fail_on) {
  for (const Observation& o : report.observations) {
    Verdict v = o.verdict();
    if (v >= fail_on && v != Verdict::Unused && (v != Verdict::Unknown || fail_on == Verdict::Unknown)) return 1;
  }
  return 0;
}

}  // namespace redoubt::paths
