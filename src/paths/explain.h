// The catalogue in prose: one path for `redoubt paths explain`, all of them for docs/paths.md and docs/paths.de.md, and
// claims with their tests for docs/evidence.md.
#pragma once
#include <string>

#include "paths/catalogue.h"

namespace redoubt::paths {

// One path, in Markdown that reads well on a terminal.
std::string explain(const PathFacts& path, Language language);
// The whole catalogue, as the file in docs/.
std::string catalogue_document(Language language);
// Each claim of the catalogue and the tests that show it.
std::string evidence_document();

}  // namespace redoubt::paths
