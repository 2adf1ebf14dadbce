import type { CodecsView } from '../codecs/codec-choice.ts';
import type { Source } from './platform-schema.ts';

export type VerdictLevel = 'ok' | 'warning' | 'error';

/** One thing that was checked, in words for users. Contains no secret. */
export interface Verdict {
  readonly check: string;
  readonly level: VerdictLevel;
  readonly measured: string;
  /** What is asked for; empty where nothing is. */
  readonly rule: string;
  /** Who asks for it; empty where nothing is asked for. */
  readonly source: string;
  /** What to do; empty where nothing is to be done. */
  readonly remedy: string;
  /** Of the check of the codecs. */
  readonly codecs?: CodecsView;
}

export const verdict = (
  check: string,
  level: VerdictLevel,
  measured: string,
  more: Partial<Pick<Verdict, 'rule' | 'source' | 'remedy'>> = {},
): Verdict => ({ check, level, measured, rule: '', source: '', remedy: '', ...more });

export const sourceText = ({ title, checked, confirmed }: Source): string =>
  `${title}, checked ${checked}${confirmed ? '' : ', unconfirmed'}`;
