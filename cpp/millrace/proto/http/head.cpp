#include "millrace/proto/http/head.hpp"

#include <array>

namespace millrace::http {
namespace {

constexpr std::array<ByteView, 10> method_names{"GET",     "HEAD",    "POST",  "PUT",   "DELETE",
                                                "CONNECT", "OPTIONS", "TRACE", "PATCH", ""};
static_assert(method_names.size() == static_cast<std::size_t>(Method::other) + 1);

// The thread's free list. Its destructor runs when the thread ends; a block given later goes to the
// heap.
struct FreeHeads {
  HeadBlock* first = nullptr;
  std::size_t count = 0;
  bool gone = false;
  ~FreeHeads() {
    gone = true;
    while (first) delete std::exchange(first, first->next);
  }
};
thread_local FreeHeads free_heads;

// What most heads need, browsers' included.
constexpr std::size_t usual_bytes = 2048;
constexpr std::size_t usual_fields = 24;

bool is_worth_keeping(const HeadBlock& block) {
  return block.bytes.capacity() <= HeadPool::kept_bytes &&
         block.fields.capacity() * sizeof(HeadBlock::Field) <= HeadPool::kept_bytes;
}

}  // namespace

Method method_named(ByteView text) {
  // Methods are case-sensitive (RFC 9110 9.1).
  for (std::size_t i = 0; i + 1 < method_names.size(); ++i)
    if (method_names[i] == text) return static_cast<Method>(i);
  return Method::other;
}

ByteView name_of(Method method) { return method_names[static_cast<std::size_t>(method)]; }

void HeadBlock::clear() {
  bytes.clear();
  fields.clear();
  method_text = target = path = query = authority = reason = {};
  content_length.reset();
  status = 0;
  method = Method::other;
  version_major = version_minor = 1;
  keep_alive = true;
  has_body = expects_continue = wants_upgrade = false;
  next = nullptr;
}

HeadBlock* HeadPool::take() {
  auto& pool = free_heads;
  if (HeadBlock* block = pool.first) {
    pool.first = block->next;
    --pool.count;
    block->clear();
    return block;
  }
  auto block = std::make_unique<HeadBlock>();
  block->bytes.reserve(usual_bytes);
  block->fields.reserve(usual_fields);
  return block.release();
}

void HeadPool::give(HeadBlock* block) {
  auto& pool = free_heads;
  if (pool.gone || pool.count >= kept_blocks || !is_worth_keeping(*block)) {
    delete block;
    return;
  }
  block->next = pool.first;
  pool.first = block;
  ++pool.count;
}

Head Head::copy() const {
  HeadBlockPtr block(HeadPool::take());
  auto* const next = block->next;
  *block = *block_;
  block->next = next;
  return Head(std::move(block));
}

std::optional<ByteView> Head::find(ByteView lower_case_name) const {
  for (auto const& field : block_->fields)
    if (field.name.size == lower_case_name.size() &&
        equals_ignoring_case(block_->view(field.name), lower_case_name))
      return block_->view(field.value);
  return std::nullopt;
}

std::optional<ByteView> Head::find(FieldId id) const {
  for (auto const& field : block_->fields)
    if (field.id == id) return block_->view(field.value);
  return std::nullopt;
}

void Head::add(ByteView name, ByteView value) {
  auto& bytes = block_->bytes;
  auto const append = [&bytes](ByteView text) {
    Span const span{static_cast<std::uint32_t>(bytes.size()),
                    static_cast<std::uint32_t>(text.size())};
    bytes.append(text);
    return span;
  };
  auto const name_span = append(name), value_span = append(value);
  block_->fields.push_back({name_span, value_span, identify(name)});
}

void Head::remove(ByteView lower_case_name) {
  std::erase_if(block_->fields, [&](const HeadBlock::Field& field) {
    return equals_ignoring_case(block_->view(field.name), lower_case_name);
  });
  if (lower_case_name == "content-length") block_->content_length.reset();
}

void Head::set_authority(ByteView authority) {
  block_->authority = {static_cast<std::uint32_t>(block_->bytes.size()),
                       static_cast<std::uint32_t>(authority.size())};
  block_->bytes.append(authority);
}

}  // namespace millrace::http
