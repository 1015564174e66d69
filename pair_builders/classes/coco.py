"""Everyday words for the 80 COCO categories.

People answer "bike", not "bicycle", and ask about "the man", not "the person". A word stands here only if it
names the object itself in nearly every photograph; what merely goes with it (a pitcher with a baseball bat) does
not. Plurals are formed by `vqa_gs.pair_builders.classes.words`; only irregular ones are listed.
"""

from __future__ import annotations

SYNONYMS: dict[str, str] = {
    "person": """people man men woman women boy girl child children kid guy lady ladies gentleman gentlemen male
        female human adult baby babies toddler infant player skier snowboarder skateboarder surfer rider
        cyclist biker batter pitcher catcher umpire referee pedestrian passenger photographer driver chef cook waiter
        waitress tourist athlete swimmer farmer worker policeman police officer bride groom crowd teenager
        daughter son mother father mom dad grandmother grandfather couple surfers batsman someone somebody spectator
        fireman firefighter cowboy soldier student teacher conductor motorcyclist bicyclist jockey police""",
    "bicycle": "bike",
    "car": "automobile sedan suv taxi cab convertible minivan",
    "motorcycle": "motorbike moped scooter motor_bike motor_cycle",
    "airplane": "plane aeroplane jet aircraft jetliner airliner jumbo_jet biplane",
    "bus": "buses double_decker_bus school_bus",
    "train": "locomotive subway_train trolley tram",
    "truck": "pickup pickup_truck lorry semi fire_truck firetruck tow_truck dump_truck",
    "boat": "ship sailboat canoe kayak yacht ferry rowboat speedboat",
    "traffic light": "stoplight traffic_signal stop_light street_signal",
    "fire hydrant": "hydrant",
    "stop sign": "",
    "parking meter": "meter",
    "bench": "park_bench",
    "bird": """parrot seagull pigeon duck goose geese owl eagle swan pelican peacock penguin flamingo ostrich hawk
        parakeet rooster""",
    "cat": "kitten kitty feline",
    "dog": "puppy puppies pup canine poodle pug beagle bulldog dachshund dalmatian chihuahua terrier labrador collie",
    "horse": "pony ponies colt foal mare stallion",
    "sheep": "lamb ram ewe",
    "cow": "cattle calf calves bull ox oxen steer",
    "elephant": "",
    "bear": "polar_bear grizzly grizzly_bear brown_bear black_bear panda cub",
    "zebra": "",
    "giraffe": "",
    "backpack": "back_pack rucksack knapsack book_bag bookbag",
    "umbrella": "parasol",
    "handbag": "purse hand_bag pocketbook",
    "tie": "necktie bow_tie bowtie neck_tie",
    "suitcase": "luggage briefcase suit_case",
    "frisbee": "disc frisby frisbe",
    "skis": "ski",
    "snowboard": "snow_board",
    "sports ball": """ball baseball_ball tennis_ball soccer_ball basketball football volleyball beach_ball
        rugby_ball""",
    "kite": "",
    "baseball bat": "bat",
    "baseball glove": "mitt baseball_mitt catcher's_mitt catchers_mitt glove",
    "skateboard": "skate_board longboard",
    "surfboard": "surf_board boogie_board bodyboard",
    "tennis racket": "racket racquet tennis_racquet racquets",
    "bottle": "wine_bottle water_bottle beer_bottle",
    "wine glass": "wineglass",
    "cup": "mug coffee_cup teacup tea_cup coffee_mug",
    "fork": "",
    "knife": "knives",
    "spoon": "",
    "bowl": "",
    "banana": "",
    "apple": "",
    "sandwich": "burger hamburger cheeseburger sub panini wrap",
    "orange": "tangerine clementine",
    "broccoli": "brocolli broccolli",
    "carrot": "",
    "hot dog": "hotdog chili_dog",
    "pizza": "",
    "donut": "doughnut pastry pastries",
    "cake": "cupcake birthday_cake wedding_cake cheesecake",
    "chair": "armchair stool seat",
    "couch": "sofa loveseat futon",
    "potted plant": "plant houseplant house_plant flower_pot",
    "bed": "mattress bunk_bed",
    "dining table": "table dinner_table kitchen_table",
    "toilet": "urinal commode",
    "tv": "television tvs t.v. monitor tv_screen flat_screen",
    "laptop": "laptop_computer notebook_computer macbook",
    "mouse": "mice computer_mouse",
    "remote": "remote_control wii_remote controller wii_controller game_controller wiimote wii_mote",
    "keyboard": "computer_keyboard",
    "cell phone": "phone cellphone telephone smartphone mobile_phone iphone cell mobile",
    "microwave": "microwave_oven",
    "oven": "stove range stove_top stovetop",
    "toaster": "toaster_oven",
    "sink": "washbasin basin",
    "refrigerator": "fridge refridgerator freezer",
    "book": "novel textbook",
    "clock": "clock_tower watch alarm_clock",
    "vase": "",
    "scissors": "scissor shears pair_of_scissors",
    "teddy bear": "teddy stuffed_animal stuffed_bear stuffed_toy",
    "hair drier": "hair_dryer hairdryer blow_dryer blowdryer",
    "toothbrush": "tooth_brush",
}
"""Category -> its other names, separated by blanks; "_" stands for a blank within one."""

_ANIMALS = ["bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"]
_VEHICLES = ["bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"]

GROUPS: dict[str, list[str]] = {
    "animal": _ANIMALS,
    "animals": _ANIMALS,
    "vehicle": _VEHICLES,
    "vehicles": _VEHICLES,
    "fruit": ["banana", "apple", "orange"],
    "vegetable": ["broccoli", "carrot"],
    "food": ["banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake"],
    "furniture": ["chair", "couch", "bed", "dining table"],
    "appliance": ["microwave", "oven", "toaster", "sink", "refrigerator"],
}
"""Word for a group -> its categories; COCO's supercategories, and the kinds of food that people ask for."""
