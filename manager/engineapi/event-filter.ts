import type { Filters } from '../controlapi/control-api.ts';
import type { EventMessage } from './event-message.ts';
import { exactMatch, labelsMatch, prefixMatch } from './filters.ts';

/** Kinds of objects that events can be filtered by, by a beginning of ID or name. */
const NOUNS = ['container', 'plugin', 'volume', 'network', 'daemon', 'node', 'service', 'secret', 'config'];

/** Whether a swarm event passes the filters of `GET /events`; unknown filters are ignored, as the engine does. */
export function includesEvent(filters: Filters, event: EventMessage): boolean {
  const name = event.attributes['name'] ?? '';
  return (
    exactMatch(filters, 'event', event.action) &&
    exactMatch(filters, 'type', event.type) &&
    exactMatch(filters, 'scope', 'swarm') &&
    NOUNS.every((noun) => concerns(filters, noun, event, name)) &&
    exactMatch(filters, 'image', event.attributes['image'] ?? event.id) &&
    labelsMatch(filters, 'label', event.attributes)
  );
}

function concerns(filters: Filters, noun: string, event: EventMessage, name: string): boolean {
  return prefixMatch(filters, noun, event.id) || prefixMatch(filters, noun, name);
}
