// A reference to something that can be called, for parameters of functions that would be compiled
// once for each caller as templates. It must not outlive what it refers to.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>

namespace quiver {

template <class>
class FunctionRef;

template <class R, class... Args>
class FunctionRef<R(Args...)> {
  public:
    template <class F>
    requires(!std::same_as<std::remove_cvref_t<F>, FunctionRef>) FunctionRef(F&& f)
        : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
          call_([](void* object, Args... args) -> R {
              return (*static_cast<std::remove_reference_t<F>*>(object))(args...);
          })
    {
    }
    R operator()(Args... args) const { return call_(object_, args...); }

  private:
    void* object_;
    R (*call_)(void*, Args...);
};

}   // namespace quiver
