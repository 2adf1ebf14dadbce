import { statusOf } from './refusals.ts';
import type { RtmpCommand } from './rtmp-connection.ts';
import { RtmpError } from './rtmp-error.ts';

/** What is waited for. */
export interface Awaited {
  /** As error messages call it: "The server did not answer WHAT". */
  readonly what: string;
  readonly timeoutMs: number;
  readonly accepts: (command: RtmpCommand) => boolean;
  /** The answer may be a status, which does not say what it answers. */
  readonly isStatus?: boolean;
}

interface Wait extends Awaited {
  readonly deadlineMs: number;
  timer: NodeJS.Timeout;
  /** What may have been the answer could not be decoded. */
  isDoubted: boolean;
  readonly resolve: (command: RtmpCommand) => void;
  readonly reject: (error: RtmpError) => void;
}

/** The answers that a connection waits for. */
export class AwaitedAnswers {
  readonly #fail: (error: RtmpError) => void;
  readonly #waits = new Set<Wait>();

  /** @param fail ends the connection */
  constructor(fail: (error: RtmpError) => void) {
    this.#fail = fail;
  }

  /** @throws {RtmpError} timeout, or what the connection ends with */
  wait(awaited: Awaited): Promise<RtmpCommand> {
    const { what, timeoutMs } = awaited;
    return new Promise((resolve, reject) => {
      const late = (): void =>
        this.#fail(new RtmpError('timeout', `The server did not answer ${what} within ${timeoutMs / 1000} s`));
      const deadlineMs = performance.now() + timeoutMs;
      this.#waits.add({
        ...awaited,
        deadlineMs,
        timer: setTimeout(late, timeoutMs),
        isDoubted: false,
        resolve,
        reject,
      });
    });
  }

  /** Passes a command to what waits for it. */
  deliver(command: RtmpCommand): void {
    for (const wait of this.#waits) {
      if (!wait.accepts(command)) continue;
      this.#waits.delete(wait);
      clearTimeout(wait.timer);
      wait.resolve(command);
      return;
    }
  }

  /**
   * A command could not be decoded, or not to its end. If something waits for it, the connection is ended: at once if
   * the command says what it answers, otherwise unless the answer arrives within half the time.
   *
   * @param command what could be decoded; `undefined`: not even its name
   * @param why it could not be decoded
   * @returns whether the connection has been ended
   */
  spoilt(command: RtmpCommand | undefined, why: string): boolean {
    for (const wait of this.#waits) {
      const fail = (): void =>
        this.#fail(new RtmpError('protocol', `The server's answer to ${wait.what} cannot be decoded (${why})`));
      if (command?.name === '_result' && wait.accepts(command)) {
        fail();
        return true;
      }
      if (wait.isDoubted || (command && !mayAnswer(command, wait))) continue;
      wait.isDoubted = true;
      clearTimeout(wait.timer);
      wait.timer = setTimeout(fail, Math.min(wait.timeoutMs / 2, wait.deadlineMs - performance.now()));
    }
    return false;
  }

  /** The connection has ended. */
  end(error: RtmpError): void {
    for (const { what, timer, reject } of this.#waits) {
      clearTimeout(timer);
      reject(error.code === 'lost' ? new RtmpError('lost', `${error.message} before it answered ${what}`) : error);
    }
    this.#waits.clear();
  }
}

/** Whether a command that does not say what it answers may be the one that `wait` waits for. */
function mayAnswer({ name, transaction, values }: RtmpCommand, { isStatus = false }: Awaited): boolean {
  if (name === 'onStatus') return isStatus && statusOf(values).code === '';
  return (name === '_result' || name === '_error') && transaction === 0;
}
