import type { Test } from 'tap';

/** Replaces properties of the global object until the end of the test: other files of its process need theirs. */
export function replaceGlobals(t: Test, values: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(values)) {
    const own = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    t.teardown(() => {
      if (own) Object.defineProperty(globalThis, name, own);
      else Reflect.deleteProperty(globalThis, name);
    });
  }
}
