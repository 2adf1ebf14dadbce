import type { Verdict } from '../../../views/push-view.ts';
import type { Source } from './platform-schema.ts';

export const verdict = (
  check: string,
  level: Verdict['level'],
  measured: string,
  more: Partial<Pick<Verdict, 'rule' | 'source' | 'remedy'>> = {},
): Verdict => ({ check, level, measured, rule: '', source: '', remedy: '', ...more });

export const sourceText = ({ title, checked, confirmed }: Source): string =>
  `${title}, checked ${checked}${confirmed ? '' : ', unconfirmed'}`;
