import t from 'tap';
import { judgePublishers } from '../../helpers/generated-publisher.ts';

t.test('publishers whose timestamps jump', (t) => judgePublishers(t, ['jump'], 3334));
