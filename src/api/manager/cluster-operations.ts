import { MOVE, operations, type Operation } from '../openapi/operation.ts';

const op = operations('Cluster');

/** Of managers of a cluster only. */
export const CLUSTER_OPERATIONS: readonly Operation[] = [
  op('get', '/api/v1/nodes', 'listNodes', 'The nodes of the cluster', { answer: { listOf: 'Node' } }),
  op('get', '/api/v1/nodes/{id}', 'getNode', 'One node of the cluster', { answer: 'Node', errors: ['NODE_NOT_FOUND'] }),
  op('post', '/api/v1/nodes/{id}/drain', 'drainNode', 'Move the streams of a node to other nodes, and end it', {
    query: MOVE,
    status: 202,
    answer: 'Health',
    errors: ['NODE_NOT_FOUND', 'NODE_LOST'],
  }),
  op(
    'get',
    '/streammanager/api/4.0/event/{scope}/{stream}',
    'chooseNode',
    "The node for a publisher or a player, as Red5's Stream Manager answers",
    {
      query: {
        action: { schema: { type: 'string', enum: ['broadcast', 'subscribe'] }, description: 'Publish or play.' },
        region: { schema: { type: 'string' }, description: 'Preferred region.' },
        strict: { schema: { type: 'boolean' }, description: 'No other region will do.' },
        endpoints: {
          schema: { type: 'integer', minimum: 1, maximum: 100 },
          description: 'More than 1: answers a list.',
        },
      },
      answer: 'NodeAddress',
      errors: ['INVALID_REQUEST', 'STREAM_NOT_FOUND', 'NODE_NOT_FOUND', 'CLUSTER_UNAVAILABLE'],
    },
  ),
];
