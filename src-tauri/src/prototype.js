// Nothing in the page changes what every object inherits. A plain freeze would also forbid an
// object to be given a `constructor` or a `toString` of its own, which libraries of the page do;
// so each of these becomes a pair that reads the one and defines the other.
(() => {
  "use strict";
  const inherited = Object.prototype;
  for (const name of Reflect.ownKeys(inherited)) {
    const { value, writable } = Object.getOwnPropertyDescriptor(inherited, name);
    if (!writable) continue;
    Object.defineProperty(inherited, name, {
      get: () => value,
      set(own) {
        if (this === inherited) throw new TypeError(`${String(name)} of every object is frozen`);
        Object.defineProperty(this, name, {
          value: own,
          writable: true,
          enumerable: true,
          configurable: true,
        });
      },
    });
  }
  Object.freeze(inherited);
})();
