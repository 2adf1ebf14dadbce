import t from 'tap';
import { judgePublishers } from '../../helpers/generated-publisher.ts';

t.test('publishers that pause', (t) => judgePublishers(t, ['paused', 'frozen'], 3334));
