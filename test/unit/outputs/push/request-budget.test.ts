import t from 'tap';
import { RequestBudget } from '../../../../src/outputs/push/request-budget.ts';

t.test('three requests within a minute, and one complaint about all others', async (t) => {
  const budget = new RequestBudget();
  const answers = [0, 1000, 2000, 3000, 4000, 59_999, 60_000, 60_001].map((ms) => budget.take(ms));
  t.strictSame(answers, ['granted', 'granted', 'granted', 'exhausted', 'silent', 'silent', 'granted', 'exhausted']);
});
