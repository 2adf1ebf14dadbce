import { assertionReport, fileLine, outputReport, skipLine } from './report.mjs';

/** What has been reported by a file of tests. Counts assertions. */
export class FileResult {
  passed = 0;
  failed = 0;
  /** What the file has printed besides its results. */
  output = '';
  #startedAt = performance.now();
  #skipped = [];
  #failures = [];

  constructor(file) {
    this.file = file;
  }

  add(assertion) {
    if (assertion.skip) this.#skipped.push(skipLine(assertion));
    else if (assertion.ok) this.passed += 1;
    else if (!assertion.todo) this.fail(assertionReport(assertion));
  }

  fail(text) {
    this.failed += 1;
    this.#failures.push(text);
  }

  /** For the end of the file's tests: `ok` is their sum. */
  checkTest(ok, failures = []) {
    if (this.failed > 0) return;
    const errors = failures.map(({ tapError }) => tapError).filter(Boolean);
    if (!ok) this.fail(`  ✗ its results are incomplete: ${errors.join('; ')}`);
    else if (this.passed === 0 && this.#skipped.length === 0) this.fail('  ✗ it has no tests');
  }

  end(milliseconds = performance.now() - this.#startedAt) {
    const { file, passed, failed } = this;
    const report = [fileLine(file, this, milliseconds), ...this.#skipped, ...this.#failures];
    if (failed > 0) report.push(...outputReport(this.output));
    return { file, passed, failed, seconds: milliseconds / 1000, report: report.join('\n') };
  }
}
