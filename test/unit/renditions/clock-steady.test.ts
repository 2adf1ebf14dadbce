import t from 'tap';
import { judgePublishers } from '../../helpers/generated-publisher.ts';

t.test('publishers whose packets or wall clock change', (t) =>
  judgePublishers(t, ['none', 'wall clock', 'length'], 3334),
);
