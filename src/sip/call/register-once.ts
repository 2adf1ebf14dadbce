import { GatewayError } from '../../errors.ts';
import { inBackground } from '../../runtime/in-background.ts';
import type { Registration } from '../registration/registration.ts';
import type { Flow } from '../transport/flow.ts';
import type { CallAddress } from './account.ts';

/** Registers an account for one call. @returns gives the registration up */
export type RegisterOnce = (address: CallAddress, localUri: string, flow: Flow) => Promise<() => void>;

/** @throws {GatewayError} SIP_REGISTER_FAILED */
export const registerOnce =
  (create: (address: CallAddress, localUri: string, flow: Flow) => Registration): RegisterOnce =>
  (address, localUri, flow) =>
    new Promise((resolve, reject) => {
      const registration = create(address, localUri, flow);
      const stop = (): void => inBackground(registration.stop());
      registration.once('settled', () => {
        const { error } = registration;
        if (!error) return resolve(stop);
        stop();
        reject(
          new GatewayError(
            'SIP_REGISTER_FAILED',
            `The account could not be registered. ${error.message} Check sipLogin, sipPassword and sipDomain, ` +
              'or leave sipRegisterRequired out if the server does not need it.',
            { cause: error },
          ),
        );
      });
      registration.start();
    });
