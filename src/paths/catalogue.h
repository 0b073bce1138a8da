// The catalogue of paths as data: what each way between control plane and cluster is, how it is secured, what can be
// set, and which tests show it. `redoubt paths explain`, docs/paths.md, docs/paths.de.md, docs/evidence.md and the page
// read nothing else, so that they can't say different things.
//
// Constant data of the program; any thread.
#pragma once
#include <span>
#include <string_view>

namespace redoubt::paths {

enum class Language { English, German };

// The same said twice.
struct Text {
  std::string_view en, de;
  std::string_view in(Language language) const { return language == Language::German ? de : en; }
};

// Where the catalogue's page puts a path.
enum class Direction { ToControlPlane, ToCluster, Tunnel };

struct Flag {
  std::string_view program;  // "redoubt server", "redoubt agent"; where upstream has it under the same name, that too
  std::string_view name;     // "--secure-port"
  Text meaning;
};

// A test that shows a path's claim; `name` is found in `file`.
struct Test {
  std::string_view file;  // from the repository's root
  std::string_view name;
  Text shows;
};

struct PathFacts {
  std::string_view id;
  Direction direction;
  Text from, to;
  Text link;       // what stands over the arrow of the diagram
  Text carries;    // what for
  Text secured;    // how, here; a paragraph
  Text elsewhere;  // what upstream does unless told otherwise
  Text advice;     // how to make it sound in another cluster
  Text claim;      // the sentence that the tests below show
  std::span<const Text> defaults;
  std::span<const Flag> flags;
  std::span<const Test> tests;
};

// All of them, in the catalogue's order.
std::span<const PathFacts* const> catalogue();
// Null for an id that is none.
const PathFacts* find_path(std::string_view id);

// The three parts of the catalogue, each in a file of its own.
std::span<const PathFacts> paths_to_control_plane();
std::span<const PathFacts> paths_to_cluster();
std::span<const PathFacts> tunnel_paths();

}  // namespace redoubt::paths
