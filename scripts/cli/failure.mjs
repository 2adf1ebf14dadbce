/** Exit codes: docs/cli.md. */
export const EXIT = { ok: 0, refused: 1, usage: 2, unreachable: 3, denied: 4, unhealthy: 5 };

/** An error with words for the user and an exit code. */
export class Failure extends Error {
  /** @param {number} exitCode @param {string} message */
  constructor(exitCode, message) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** @param {any} error */
export const exitCodeOf = (error) =>
  error.exitCode ?? (error.code?.startsWith?.('commander.') ? EXIT.usage : EXIT.refused);

/** commander has written its own errors. @param {any} error */
export function report(error) {
  if (!error.code?.startsWith?.('commander.')) process.stderr.write(`${error.message}\n`);
}
