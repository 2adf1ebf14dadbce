import type { FastifyPluginAsync } from 'fastify';
import { mayUseStream } from '../../access/rights.ts';
import type { RegistrationView } from '../../sip/registration/registrations.ts';
import { principalOf } from '../authorize.ts';

/** The accounts that are registered at PBXs. */
export interface RegistrationList {
  get(): RegistrationView[];
}

/**
 * Credentials that are limited to certain streams see the accounts whose calls become these; without a name for the
 * stream, the user of the account counts. To be registered below `/api/v1`.
 */
export const registrationRoutes =
  ({ registrations }: { readonly registrations?: RegistrationList | undefined }): FastifyPluginAsync =>
  async (app) => {
    app.get('/sip/registrations', { config: { action: 'read' } }, async (request): Promise<RegistrationView[]> => {
      const principal = principalOf(request);
      const isVisible = ({ account, stream }: RegistrationView): boolean =>
        mayUseStream(principal, stream ?? account.slice(0, account.lastIndexOf('@')));
      return (registrations?.get() ?? []).filter(isVisible);
    });
  };
