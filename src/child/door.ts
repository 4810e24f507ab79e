/** The inner end of the agent's door: see agent.ts. */

import { Channel } from '../msg/channel.js';
import { messageOf } from '../msg/errors.js';
import { Fd } from '../msg/fd.js';
import { tell } from './tell.js';

/**
 * Somebody is at the door: `connect` gets the channel of a parent. A packet that makes no sense is
 * told of, and is not in the way of the next one.
 */
export function letIn(door: number, connect: (channel: Channel) => void): void {
  // Never closed: the door is, like the agent, there for good.
  const packets = new Channel(new Fd(door));
  try {
    for (const { fds } of packets.receive()) {
      const [socket, ...others] = fds;
      for (const fd of others) fd.close();
      if (socket !== undefined) connect(new Channel(socket));
    }
  } catch (error) {
    packets.dropArrived();
    tell(`what came through the door is no parent: ${messageOf(error)}`);
  }
}
