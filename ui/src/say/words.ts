/** Messages in words: whom they are for, when they are read, and what became of them. */
import type { Delivery, Message, Role } from '../api/types';
import type { Meaning } from '../theme/tokens';
import { roles, seats } from '../theme/tokens';

/** Whom the person may write to. */
export type Recipient = Role | 'team';

export const recipients: { value: Recipient; label: string }[] = [
  ...roles.map((role) => ({ value: role, label: seats[role].name })),
  { value: 'team', label: 'The whole team' },
];

/** `aria_coordinator` sits on Aria's seat, `nexus_prime` on Prime's. */
export function seatOf(name: string): Role | null {
  return roles.find((role) => name === role || name.split('_').includes(role)) ?? null;
}

/** An end of a message that is no seat. */
export function partyName(name: string): string {
  if (name === 'person') return 'You';
  return name.split('_').includes('team') ? 'The whole team' : name;
}

/** When it will be read; what interrupting means is said before one does it. */
export function readWords(to: Recipient, urgent: boolean): string {
  if (to === 'prime') return 'Prime reads it when it next decides.';
  const who = to === 'team' ? 'Everybody at work' : seats[to].name;
  return urgent
    ? `${who} stops in the middle of the turn and reads this at once.`
    : `${who} reads it when looking for messages, or at the end of the turn.`;
}

export interface DeliveryMark {
  glyph: string;
  words: string;
  meaning: Meaning | 'plain';
}

const marks: Record<Delivery, Pick<DeliveryMark, 'glyph' | 'meaning'>> = {
  shown: { glyph: '◇', meaning: 'plain' },
  read: { glyph: '✓', meaning: 'plain' },
  waiting: { glyph: '…', meaning: 'info' },
  nobody: { glyph: '×', meaning: 'warning' },
};

/** What became of a message, in words; the glyph only repeats them. */
export function deliveryOf(message: Pick<Message, 'to' | 'delivery' | 'read_by'>): DeliveryMark {
  return { ...marks[message.delivery], words: deliveryWords(message) };
}

function deliveryWords({ to, delivery, read_by }: Pick<Message, 'to' | 'delivery' | 'read_by'>) {
  const role = seatOf(to);
  const who = role ? seats[role].name : 'its reader';
  const readers = read_by.map((each) => seats[each].name).join(', ');
  switch (delivery) {
    case 'shown':
      return role === 'prime' ? 'Prime reads it when it next decides' : 'shown to you';
    case 'read':
      return readers ? `read by ${readers}` : 'read';
    case 'waiting':
      return `${readers ? `read by ${readers}, and ` : ''}waiting: ${role ? `${who} gets it` : 'they get it'} when looking, or with the next prompt`;
    case 'nobody': {
      const nobody = readers
        ? `read by ${readers}, and nobody else will read it`
        : 'nobody will read it';
      return `${nobody}: ${role ? `${who} has` : 'they have'} nothing left to do`;
    }
  }
}
