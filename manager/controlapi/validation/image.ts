import { swarmError } from '../swarm-error.ts';

const DOMAIN = String.raw`(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?`;
const COMPONENT = String.raw`[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*`;
const TAG = String.raw`[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`;
const DIGEST = String.raw`[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}`;
const REFERENCE = new RegExp(`^(?:${DOMAIN}/)?${COMPONENT}(?:/${COMPONENT})*(?::${TAG})?(?:@${DIGEST})?$`);
const BARE_ID = /^[a-f0-9]{64}$/;
const MAX_LENGTH = 1024;

/** An image reference by the grammar of distribution/reference; a bare image ID is none. */
export function validateImage(image: string | undefined): void {
  if (image === undefined || image === '') {
    throw swarmError('invalid-argument', 'ContainerSpec: image reference must be provided');
  }
  if (image.length > MAX_LENGTH || BARE_ID.test(image) || !REFERENCE.test(image)) {
    throw swarmError('invalid-argument', `ContainerSpec: ${JSON.stringify(image)} is not a valid repository/tag`);
  }
}
