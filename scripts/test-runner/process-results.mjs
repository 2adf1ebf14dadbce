import { FileResult } from './file-result.mjs';

/** The results of the files that run in one process, read from its TAP. If there are several, the tests of the root are the files. */
export class ProcessResults {
  /** Called when a file has ended, and when tap has written its last line. */
  onFile = () => {};
  onLast = () => {};
  #files;
  #batch;
  #parser;
  #onResult;
  #completed;
  /** Number of files that have begun, that have ended, and that have ended with a failure. */
  #begun;
  #ended = 0;
  #failed = 0;
  #lastFailed = false;
  #current;

  constructor(files, parser, onResult) {
    this.#files = files;
    this.#batch = files.length > 1;
    this.#begun = this.#batch ? 0 : 1;
    this.#parser = parser;
    this.#onResult = onResult;
    this.#current = new FileResult(files[0]);
    this.#completed = new Promise((resolve) => parser.once('complete', resolve));
    // Emitted for assertions only, not for the tests that contain them.
    parser.on('result', (assertion) => {
      if (!this.#batch || !files.includes(assertion.fullname)) this.#current.add(assertion);
    });
    parser.on('assert', ({ name, ok, time }) => {
      if (this.#batch && name === this.#current.file) this.#endFile(ok, time);
    });
    parser.on('comment', (comment) => {
      if (this.#batch && comment.trim() === `# file: ${files[this.#begun]}`) this.#begun += 1;
      if (comment.startsWith('# time=')) this.onLast();
    });
    parser.on('extra', (text) => this.print(text));
  }

  /** TAP. */
  write(text) {
    this.#parser.write(text);
  }

  /** What is written besides TAP. */
  print(text) {
    this.#current.output += text;
  }

  /**
   * Called when the process has ended.
   *
   * @returns number of files that have run, at least 1
   */
  async end({ overdue, code, signal, left }) {
    this.#parser.end();
    const { ok, failures } = await this.#completed;
    const how = overdue ?? `it ended with ${signal ?? `code ${code}`}`;
    const running = this.#begun > this.#ended || this.#ended === 0;
    if (!running) this.#current = new FileResult(this.#files[this.#ended - 1]);
    const current = this.#current;
    if (!running) {
      // Failures that have been reported explain the exit code. A failing file may have ended the process before the next one began.
      const explained = this.#ended === this.#files.length ? this.#failed > 0 || code === 0 : this.#lastFailed;
      if (overdue || !explained) current.fail(`  ✗ ${how}, after its tests`);
    } else if (overdue || (code !== 0 && current.failed === 0)) current.fail(`  ✗ ${how}`);
    else current.checkTest(ok && !this.#batch, failures);
    for (const args of left) current.fail(`  ✗ ${this.#batch ? 'its process' : 'it'} left a process behind: ${args}`);
    if (running || current.failed > 0) this.#onResult(current.end());
    return this.#ended + (running ? 1 : 0);
  }

  /** @param {number | undefined} milliseconds of the file; its end is read late, together with what the next file writes */
  #endFile(ok, milliseconds) {
    this.#current.checkTest(ok);
    this.#onResult(this.#current.end(milliseconds));
    this.#lastFailed = this.#current.failed > 0;
    if (this.#lastFailed) this.#failed += 1;
    this.#ended += 1;
    this.#current = new FileResult(this.#files[this.#ended]);
    this.onFile();
  }
}
