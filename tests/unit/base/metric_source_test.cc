#include "base/metric_source.h"

#include <gmock/gmock.h>

using namespace redoubt;

TEST(MetricSource, IsRenderedAmongTheOthersWhileItLives) {
  gauge("source_test_b", "Kept.").set(1);
  int value = 3;
  {
    MetricSource source([&value]() -> std::vector<MetricFamily> {
      return {{"source_test_a", "Asked for.", "counter", {{{{"node", "n\"1"}}, 2.5}, {{{"node", "a"}}, double(value)}}},
              {"source_test_c", "Last.", "gauge", {}}};
    });
    value = 4;
    EXPECT_THAT(render_metrics(), testing::HasSubstr("# HELP source_test_a Asked for.\n"
                                                     "# TYPE source_test_a counter\n"
                                                     "source_test_a{node=\"a\"} 4\n"
                                                     "source_test_a{node=\"n\\\"1\"} 2.5\n"
                                                     "# HELP source_test_b Kept.\n"));
    EXPECT_THAT(render_metrics(), testing::HasSubstr("# TYPE source_test_c gauge\n"));
  }
  EXPECT_THAT(render_metrics(), testing::Not(testing::HasSubstr("source_test_a")));
}
