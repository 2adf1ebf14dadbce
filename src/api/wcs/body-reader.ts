import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Logger } from '../../observe/logger.ts';
import { IgnoredFields } from './ignored-fields.ts';
import { parseBody, type BodySchema } from './parse-body.ts';

/** What handlers of WCS's methods read bodies with. */
export interface BodyReader {
  /** The checked body. Fields that the schema does not know are reported in the answer and the log. */
  read<T extends BodySchema>(schema: T, request: FastifyRequest, reply: FastifyReply): z.output<T>;
  /** A handler that answers with WCS's "void": 200 and an empty body. */
  answerVoid<T extends BodySchema>(
    schema: T,
    act: (body: z.output<T>, request: FastifyRequest, reply: FastifyReply) => Promise<void> | void,
  ): (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;
}

export function readBodies(app: FastifyInstance, logger: Logger): BodyReader {
  const ignoredFields = new IgnoredFields(logger);

  // Clients name a type for an empty body too: curl -d '', fetch with an empty text.
  app.addHook('onRequest', async ({ headers }) => {
    if (headers['content-length'] === '0') delete headers['content-type'];
  });

  function read<T extends BodySchema>(schema: T, request: FastifyRequest, reply: FastifyReply): z.output<T> {
    const { value, ignored } = parseBody(schema, request.body);
    ignoredFields.report(ignored, request, reply);
    return value;
  }
  return {
    read,
    answerVoid: (schema, act) => async (request, reply) => {
      await act(read(schema, request, reply), request, reply);
      return reply.code(200).send();
    },
  };
}
