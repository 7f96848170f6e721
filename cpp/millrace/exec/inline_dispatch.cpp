#include "millrace/exec/pattern.hpp"

namespace millrace::exec {
namespace {

class InlineDispatch final : public Dispatch {
 public:
  base::Status dispatch(Work work) override {
    work.run(work.subject);
    return {};
  }
  void end_of_turn() override {}
  void stop() override {}
};

}  // namespace

std::unique_ptr<Dispatch> make_inline_dispatch() { return std::make_unique<InlineDispatch>(); }

}  // namespace millrace::exec
