import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** A guess for files that have not run yet: the larger, the longer. */
const BYTES_PER_SECOND = 10_000;

/** How long each file took when it ran last on this machine. They decide the order, nothing else. */
export class Durations {
  #root;
  #file;
  #seconds;

  /** @param {string} root the repository */
  constructor(root) {
    this.#root = root;
    this.#file = path.join(root, 'node_modules/.cache/test-durations.json');
    try {
      this.#seconds = JSON.parse(readFileSync(this.#file, 'utf8'));
    } catch {
      // The first run, or a broken file.
      this.#seconds = {};
    }
  }

  /** @param {string} file relative to the repository */
  of(file) {
    return this.#seconds[file] ?? statSync(path.join(this.#root, file)).size / BYTES_PER_SECOND;
  }

  set(file, seconds) {
    this.#seconds[file] = Math.round(seconds * 10) / 10;
  }

  save() {
    mkdirSync(path.dirname(this.#file), { recursive: true });
    writeFileSync(this.#file, JSON.stringify(this.#seconds));
  }
}
