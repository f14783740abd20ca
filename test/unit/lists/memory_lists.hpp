// An inverted file in memory: the pages, and the changes that inserts and vacuums make to them. Before each read of a
// page, a test may make such changes.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "lists/clusters.hpp"
#include "lists/search.hpp"

namespace quiver::lists::test {

constexpr uint32_t page_bytes = 8160;

// The number of a row, as the TID of one.
inline Tid tid_of(size_t row)
{
    return {static_cast<uint16_t>(row >> 16), static_cast<uint16_t>(row), 1};
}
inline size_t row_of(Tid t) { return size_t{t.block_high} << 16 | t.block_low; }

class MemoryLists {
  public:
    explicit MemoryLists(const Encoding& encoding)
        : encoding_(encoding), sketch_(encoding.sketches().encoder()),
          root_sketch_(encoding.root_sketches().encoder())
    {
        root_ = new_page(Page::list);
        init_list_page(page(root_, true), root_list, 0);
        if (!encoding.exact())
            root_sketch_->set_centre(encoding.root_centre());
    }

    // ---- lists::ReadStore ----

    const Encoding& encoding() const { return encoding_; }
    Block root() const { return root_; }
    template <class F>
    bool read_list(Block block, F&& f)
    {
        before(block);
        return read(block, encoding_.layout(), f);
    }
    template <class F>
    bool read_root(Block block, F&& f)
    {
        before_root(block);
        return read(block, encoding_.root_layout(), f);
    }
    template <class F>
    bool read_code(Block block, uint32_t place, Block owner, F&& f)
    {
        before(block);
        if (block >= pages_.size() || pages_[block].kind != Page::codes ||
            pages_[block].owner != owner)
            return false;
        f(code_at(bytes(block) + place, encoding_.codec().traits.code_bytes));
        return true;
    }
    void prefetch_list(Block) {}
    void prefetch_code(Block, uint32_t) {}
    void release() {}
    void poll() {}
    void use_root(uint32_t) {}
    bool may_lose_lists() const { return lists_may_be_lost; }

    // ---- changes ----

    // Called before a page is read.
    std::function<void(Block)> before = [](Block) {};
    std::function<void(Block)> before_root = [](Block) {};
    bool lists_may_be_lost = false;

    // Adds a list with this centroid.
    uint32_t add_list(const Code& centroid)
    {
        const Block head = new_page(Page::list);
        const auto list = static_cast<uint32_t>(heads_.size());
        init_list_page(page(head), head, 0);
        heads_.push_back(head);
        root_sketch_->encode(centroid);
        put(root_list, root_, true, root_sketch_->sketch(),
            to_tid(ListPointer{head, centroid.params.norm2}), 0, centroid);
        centroids_.push_back({centroid, {centroid.bytes, centroid.bytes + centroid.length}});
        centroids_.back().code.bytes = nullptr;
        return list;
    }
    // Makes new lists, without rows, take the place of all, with the same centroids.
    void replace_root()
    {
        uint32_t number = 0;
        for (Block b = root_; b != no_block; b = page(b, true).header().next)
            number = page(b, true).header().number + 1;
        const Block first = new_page(Page::list);
        init_list_page(page(first, true), root_list, number);
        for (size_t i = 0; i < heads_.size(); i++) {
            heads_[i] = new_page(Page::list);
            init_list_page(page(heads_[i]), heads_[i], 0);
            Code centroid = centroids_[i].code;
            centroid.bytes = centroids_[i].bytes.data();
            root_sketch_->encode(centroid);
            put(root_list, first, true, root_sketch_->sketch(),
                to_tid(ListPointer{heads_[i], centroid.params.norm2}), 0, centroid);
        }
        const MutableListPage root = page(root_, true);
        for (uint32_t i = 0; i < root.used(); i++)
            if (root.is_taken(i))
                remove_entry(root, i);
        link(root, first, number);
        root.header().changes++;
    }
    // As if the pages of the lists that were replaced became free.
    void free_replaced_lists()
    {
        ListHeader& root = page(root_, true).header();
        root.freed = root.changes;
    }
    void insert(uint32_t list, const Code& code, Tid tid, FilterCode filter = 0)
    {
        if (!encoding_.exact()) {
            Code centre = centroids_[list].code;
            centre.bytes = centroids_[list].bytes.data();
            sketch_->set_centre(centre);
        }
        sketch_->encode(code);
        put(heads_[list], heads_[list], false, sketch_->sketch(), tid, filter, code);
    }
    // Removes the rows for which dead(tid) is true.
    template <class Dead>
    void remove(uint32_t list, Dead&& dead)
    {
        for (Block b = heads_[list]; b != no_block; b = page(b).header().next)
            for (uint32_t i = 0; i < page(b).used(); i++)
                if (page(b).is_taken(i) && dead(page(b).tids()[i]))
                    remove_entry(page(b), i);
    }
    // Takes pages without rows out of a list.
    void free_empty_pages(uint32_t list)
    {
        for (Block b = heads_[list]; page(b).header().next != no_block;) {
            const Block next = page(b).header().next;
            if (page(next).header().taken > 0) {
                b = next;
                continue;
            }
            for (uint32_t i = 0; i < encoding_.layout().code_pages; i++)
                if (const Block c = page(next).code_blocks()[i]; c != no_block)
                    free_page(c);
            link(page(b), page(next).header().next, page(next).header().next_number);
            free_page(next);
        }
    }
    Block head(uint32_t list) const { return heads_[list]; }
    MutableListPage page(Block block, bool of_root = false)
    {
        return {of_root ? encoding_.root_layout() : encoding_.layout(), bytes(block)};
    }
    // The blocks of a list.
    std::vector<Block> chain(uint32_t list)
    {
        std::vector<Block> blocks;
        for (Block b = heads_[list]; b != no_block; b = page(b).header().next)
            blocks.push_back(b);
        return blocks;
    }
    size_t free_pages() const { return free_.size(); }

  private:
    struct Page {
        enum Kind { free, list, codes } kind;
        Block owner;
        std::unique_ptr<uint64_t[]> words;
    };
    struct Centroid {
        Code code;
        std::vector<uint8_t> bytes;
    };

    char* bytes(Block block) { return reinterpret_cast<char*>(pages_[block].words.get()); }
    template <class F>
    bool read(Block block, const Layout& layout, F&& f)
    {
        if (block >= pages_.size() || pages_[block].kind != Page::list)
            return false;
        f(ListPage(layout, bytes(block)));
        return true;
    }
    // A free page, the one that became free last, or a new one.
    Block new_page(Page::Kind kind)
    {
        Block block;
        if (!free_.empty()) {
            block = free_.back();
            free_.pop_back();
        } else {
            block = static_cast<Block>(pages_.size());
            pages_.push_back({});
        }
        // (Nothing may be read outside of the page, nor anything that was not written.)
        pages_[block] = {kind, no_block, std::make_unique<uint64_t[]>(page_bytes / 8)};
        return block;
    }
    void free_page(Block block)
    {
        pages_[block].kind = Page::free;
        free_.push_back(block);
    }
    // list: its first page, or root_list
    void put(Block list, Block block, bool of_root, const codec::Sketch& sketch, Tid tid,
             FilterCode filter, const Code& code)
    {
        const Layout& l = of_root ? encoding_.root_layout() : encoding_.layout();
        uint32_t place;
        while ((place = page(block, of_root).free_place()) == l.entries) {
            if (page(block, of_root).header().next == no_block) {
                const uint32_t number = page(block, of_root).header().number + 1;
                const Block fresh = new_page(Page::list);
                init_list_page(page(fresh, of_root), list, number);
                link(page(block, of_root), fresh, number);
            }
            block = page(block, of_root).header().next;
        }
        if (!encoding_.exact()) {
            Block codes = page(block, of_root).code_blocks()[l.code_page_of(place)];
            if (codes == no_block) {
                codes = new_page(Page::codes);
                pages_[codes].owner = block;
                page(block, of_root).code_blocks()[l.code_page_of(place)] = codes;
            }
            put_code(code, bytes(codes) + l.place_of(place));
        }
        put_entry(page(block, of_root), place, sketch, tid, filter);
    }

    const Encoding& encoding_;
    Owned<codec::SketchEncoder> sketch_, root_sketch_;
    std::vector<Page> pages_;
    std::vector<Block> free_, heads_;
    std::vector<Centroid> centroids_;
    Block root_;
};
static_assert(ReadStore<MemoryLists>);

}   // namespace quiver::lists::test
