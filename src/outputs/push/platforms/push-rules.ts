import type { Compliance } from '../../../renditions/compliance.ts';
import type { PushWatch } from './push-watch.ts';
import type { ComplianceView, PushWarning } from '../../../views/push-view.ts';

/** What the rules of its platform add to the view of a push. */
export interface PushRulesView {
  readonly platform?: string;
  readonly warnings?: readonly PushWarning[];
  readonly comply?: ComplianceView;
}

/** The rules of a push as its transponder sees them. */
export class PushRules {
  readonly #watch: PushWatch;
  /** Closed with the lease of its rendition. */
  #compliance: Compliance | undefined;
  #onChange: (() => void) | undefined;

  constructor(watch: PushWatch) {
    this.#watch = watch;
  }

  get view(): PushRulesView {
    const { platform, warnings } = this.#watch;
    return { platform, warnings, ...(this.#compliance && { comply: this.#compliance.view }) };
  }

  /** Calls `listener` whenever the view changes by itself. */
  onChange(listener: () => void): void {
    this.#onChange = listener;
    this.#watch.on('change', listener);
    this.#compliance?.on('change', listener);
  }

  /** Shows this compliance from now on, in place of that of a stream that has ended. */
  follow(compliance: Compliance): void {
    this.#compliance?.removeAllListeners();
    this.#compliance = compliance;
    if (this.#onChange) compliance.on('change', this.#onChange);
  }

  /** Tells whether the server takes the stream at the moment. */
  setPushing(pushing: boolean): void {
    this.#watch.setPushing(pushing);
  }

  /** Idempotent. */
  close(): void {
    this.#watch.close();
    this.#watch.removeAllListeners();
    this.#compliance?.removeAllListeners();
  }
}
