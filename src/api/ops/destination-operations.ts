import type { ErrorCode } from '../../errors.ts';
import { BODY, operations, required, type Operation } from '../openapi/operation.ts';

const op = operations('Destinations');
const CHANGED: readonly ErrorCode[] = [...BODY, 'INVALID_RTMP_URL', 'CLUSTER_UNAVAILABLE'];

/** Saved destinations and groups of them. They are the same on all nodes of a cluster. */
export const DESTINATION_OPERATIONS: readonly Operation[] = (
  [
    {
      path: '/api/v1/destinations',
      noun: 'Destination',
      words: 'saved destination',
      schemas: ['SavedDestination', 'NewDestination', 'DestinationChange'],
      codes: ['SAVED_DESTINATION_NOT_FOUND', 'SAVED_DESTINATION_EXISTS', 'SAVED_DESTINATION_IN_USE'],
    },
    {
      path: '/api/v1/destination-groups',
      noun: 'DestinationGroup',
      words: 'group of saved destinations',
      schemas: ['DestinationGroup', 'NewDestinationGroup', 'DestinationGroupChange'],
      codes: ['DESTINATION_GROUP_NOT_FOUND', 'DESTINATION_GROUP_EXISTS', 'SAVED_DESTINATION_NOT_FOUND'],
    },
  ] as const
).flatMap(({ path, noun, words, schemas: [view, create, change], codes: [missing, exists, other] }) => {
  const one = `${path}/{id}`;
  const cluster = 'any';
  return [
    op('get', path, `list${noun}s`, `All ${words}s`.replace('group of', 'groups of'), {
      ...{ answer: { listOf: view }, errors: ['CLUSTER_UNAVAILABLE'], cluster },
    }),
    op('post', path, `save${noun}`, `Save a ${words}`, {
      ...{ body: required(create), status: 201, answer: view, cluster },
      errors: [...CHANGED, exists, other, 'LIMIT_REACHED'],
    }),
    op('get', one, `get${noun}`, `One ${words}`, { answer: view, errors: [missing, 'CLUSTER_UNAVAILABLE'], cluster }),
    op('patch', one, `change${noun}`, `Change a ${words}`, {
      ...{ body: required(change), answer: view, errors: [...CHANGED, missing, other], cluster },
    }),
    op('delete', one, `delete${noun}`, `Remove a ${words}`, {
      ...{ status: 204, errors: [missing, other, 'CLUSTER_UNAVAILABLE'], cluster },
    }),
  ];
});
