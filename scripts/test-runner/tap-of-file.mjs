// What a file that runs in a batch imports as `tap`: its own test. See batch.mjs.

/** The tests by the URLs of their files. All instances of this module share it. */
export const tapOfFile = (globalThis[Symbol.for('transponder.tap-of-file')] ??= new Map());

/** Undefined in the instance that batch.mjs imports. */
export default tapOfFile.get(decodeURI(new URL(import.meta.url).search.slice(1)));
