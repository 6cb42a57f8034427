-- The write side: what operators decide.
CREATE TABLE {ns}categories (
    category TEXT PRIMARY KEY,
    name     TEXT NOT NULL,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE {ns}products (
    product_id TEXT PRIMARY KEY,
    sku        TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    category   TEXT NOT NULL REFERENCES {ns}categories (category),
    status     TEXT NOT NULL,      -- active, retired
    tax_class  TEXT NOT NULL,      -- standard, reduced
    version    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE {ns}prices (
    product_id  TEXT NOT NULL REFERENCES {ns}products (product_id),
    currency    TEXT NOT NULL,
    price_minor INTEGER NOT NULL CHECK (price_minor > 0),
    PRIMARY KEY (product_id, currency)
) STRICT, WITHOUT ROWID;

-- The read side: one row per product, from its own changes, its stock and its sales.
CREATE TABLE {ns}product_view (
    product_id    TEXT PRIMARY KEY,
    sku           TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    category      TEXT NOT NULL,
    status        TEXT NOT NULL,
    tax_class     TEXT NOT NULL,
    prices        TEXT NOT NULL,   -- JSON
    version       INTEGER NOT NULL,
    words         TEXT NOT NULL,   -- what a search looks in, in lower case
    availability  TEXT NOT NULL,   -- in_stock, low, out
    stock_version INTEGER NOT NULL, -- of the stock item that the availability comes from
    sold          INTEGER NOT NULL  -- pieces
) STRICT, WITHOUT ROWID;
CREATE INDEX {prefix}product_view_by_category ON {prefix}product_view (category, sku);
CREATE INDEX {prefix}product_view_by_sales ON {prefix}product_view (sold DESC, sku);

-- What each completed order has sold: an order that is told twice counts once.
CREATE TABLE {ns}sales (
    order_id TEXT NOT NULL,
    sku      TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    PRIMARY KEY (order_id, sku)
) STRICT, WITHOUT ROWID;

-- Grows with each change of what the read side answers. Whoever writes the read side locks it first.
CREATE TABLE {ns}cache_versions (
    name    TEXT PRIMARY KEY,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO {ns}cache_versions (name, version) VALUES ('products', 1);

-- Seed: 200 products. SKUs, prices and tax are those of the order service's price book.
INSERT INTO {ns}categories (category, name, position) VALUES
    ('kitchen', 'Kitchen', 1),
    ('home', 'Home', 2),
    ('office', 'Office', 3),
    ('outdoor', 'Outdoor', 4),
    ('toys', 'Toys and games', 5),
    ('electronics', 'Electronics', 6),
    ('books', 'Books', 7),
    ('pantry', 'Pantry', 8);

WITH seed (i, name, category) AS (VALUES
    (1, 'Silicone Spatula', 'kitchen'),
    (2, 'Tealight Holder', 'home'),
    (3, 'Sticky Notes', 'office'),
    (4, 'Reflective Band', 'outdoor'),
    (5, 'Sixty Soups', 'books'),
    (6, 'Yo-Yo, Maple', 'toys'),
    (7, 'Phone Stand', 'electronics'),
    (8, 'Whisk, Stainless Steel', 'kitchen'),
    (9, 'Door Mat, Coir', 'home'),
    (10, 'Smoked Paprika 70 g', 'pantry'),
    (11, 'Paper Clips, 500 Pieces', 'office'),
    (12, 'Head Torch', 'outdoor'),
    (13, 'Chalk, 20 Colours', 'toys'),
    (14, 'Travel Adapter', 'electronics'),
    (15, 'Knots and Hitches', 'books'),
    (16, 'Pepper Mill, Beech', 'kitchen'),
    (17, 'Cushion Cover, Linen', 'home'),
    (18, 'Cutting Mat A3', 'office'),
    (19, 'Picnic Blanket', 'outdoor'),
    (20, 'Cold-Pressed Rapeseed Oil 750 ml', 'pantry'),
    (21, 'Modelling Clay', 'toys'),
    (22, 'Night Light with Sensor', 'electronics'),
    (23, 'Salad Spinner', 'kitchen'),
    (24, 'Wicker Basket', 'home'),
    (25, 'Stars for Beginners', 'books'),
    (26, 'Desk Pad, Felt', 'office'),
    (27, 'Watering Can 8 l', 'outdoor'),
    (28, 'Stacking Tower', 'toys'),
    (29, 'Charger 30 W', 'electronics'),
    (30, 'Arborio Rice 2 kg', 'pantry'),
    (31, 'French Press 1 l', 'kitchen'),
    (32, 'Table Runner', 'home'),
    (33, 'Bookends, Steel', 'office'),
    (34, 'Bike Pump', 'outdoor'),
    (35, 'The Clockmaker''s Map', 'books'),
    (36, 'Memory Game', 'toys'),
    (37, 'Bathroom Scales', 'electronics'),
    (38, 'Linen Tea Towels, Set of 6', 'kitchen'),
    (39, 'Wool Blanket, Small', 'home'),
    (40, 'Truffle Butter, Set of 3', 'pantry'),
    (41, 'Desk Organiser', 'office'),
    (42, 'Folding Stool', 'outdoor'),
    (43, 'Backgammon', 'toys'),
    (44, 'Power Bank 10,000 mAh', 'electronics'),
    (45, 'The Long Way to Lisbon', 'books'),
    (46, 'Mortar and Pestle, Granite', 'kitchen'),
    (47, 'Bedside Lamp', 'home'),
    (48, 'Cork Board 60 x 90 cm', 'office'),
    (49, 'Trekking Poles', 'outdoor'),
    (50, 'Balsamic Vinegar, Aged 12 Years', 'pantry'),
    (51, 'Marble Run', 'toys'),
    (52, 'Webcam 1080p', 'electronics'),
    (53, 'Electric Kettle 1.7 l', 'kitchen'),
    (54, 'Bed Linen, Single', 'home'),
    (55, 'A Field Guide to Mushrooms', 'books'),
    (56, 'Desk Fan', 'office'),
    (57, 'Sleeping Mat', 'outdoor'),
    (58, 'Microscope for Children', 'toys'),
    (59, 'Air Quality Monitor', 'electronics'),
    (60, 'Spice Cabinet, 24 Jars', 'pantry'),
    (61, 'Chef''s Knife 20 cm', 'kitchen'),
    (62, 'Wool Blanket, Large', 'home'),
    (63, 'Foot Rest', 'office'),
    (64, 'Tarp 3 x 4 m', 'outdoor'),
    (65, 'The Complete Home Carpenter', 'books'),
    (66, 'Marbles, Bag of 50', 'toys'),
    (67, 'USB-C Cable 1 m', 'electronics'),
    (68, 'Wooden Spoon Set', 'kitchen'),
    (69, 'Wall Hooks, Set of 4', 'home'),
    (70, 'Wild Flower Honey 500 g', 'pantry'),
    (71, 'Ruler, Aluminium', 'office'),
    (72, 'Water Bottle 0.75 l', 'outdoor'),
    (73, 'Skipping Rope', 'toys'),
    (74, 'Batteries AA, Pack of 12', 'electronics'),
    (75, 'A Short History of Salt', 'books'),
    (76, 'Oven Gloves', 'kitchen'),
    (77, 'Picture Frame A4', 'home'),
    (78, 'Gel Pens, Set of 5', 'office'),
    (79, 'Dry Bag 10 l', 'outdoor'),
    (80, 'Darjeeling Loose Leaf 100 g', 'pantry'),
    (81, 'Wooden Train', 'toys'),
    (82, 'In-Ear Headphones', 'electronics'),
    (83, 'Mixing Bowl 3 l', 'kitchen'),
    (84, 'Scented Soap, Set of 3', 'home'),
    (85, 'Night Trains of Europe', 'books'),
    (86, 'Letter Tray', 'office'),
    (87, 'Compass', 'outdoor'),
    (88, 'Dominoes', 'toys'),
    (89, 'Wireless Mouse', 'electronics'),
    (90, 'Espresso Beans 1 kg', 'pantry'),
    (91, 'Enamel Mug Set', 'kitchen'),
    (92, 'Vase, Stoneware', 'home'),
    (93, 'Ring Binders, Set of 4', 'office'),
    (94, 'Bird Feeder', 'outdoor'),
    (95, 'Letters from the Ice', 'books'),
    (96, 'Jigsaw Puzzle, 1000 Pieces', 'toys'),
    (97, 'Bicycle Light Set', 'electronics'),
    (98, 'Kitchen Scales', 'kitchen'),
    (99, 'Plant Pot with Saucer', 'home'),
    (100, 'Olive Oil Extra Virgin 1 l', 'pantry'),
    (101, 'Label Maker', 'office'),
    (102, 'Insulated Flask 1 l', 'outdoor'),
    (103, 'Spinning Top', 'toys'),
    (104, 'SD Card 128 GB', 'electronics'),
    (105, 'Mountain Huts of the Alps', 'books'),
    (106, 'Paring Knife', 'kitchen'),
    (107, 'Bath Mat, Cotton', 'home'),
    (108, 'Calendar, Letterpress', 'office'),
    (109, 'Hand Axe', 'outdoor'),
    (110, 'Saffron Threads 2 g', 'pantry'),
    (111, 'Magnifying Glass Set', 'toys'),
    (112, 'Clock Radio', 'electronics'),
    (113, 'Pasta Maker', 'kitchen'),
    (114, 'Coat Rack, Ash', 'home'),
    (115, 'Rivers from Above', 'books'),
    (116, 'Document Shredder', 'office'),
    (117, 'Bike Lock', 'outdoor'),
    (118, 'Dolls'' House Furniture', 'toys'),
    (119, 'Smart Plug, Set of 3', 'electronics'),
    (120, 'Coffee Sampler, Six Roasts', 'pantry'),
    (121, 'Cast-Iron Skillet 26 cm', 'kitchen'),
    (122, 'Rug 60 x 120 cm', 'home'),
    (123, 'Leather Folder A4', 'office'),
    (124, 'Daypack 22 l', 'outdoor'),
    (125, 'The Architecture of Bridges', 'books'),
    (126, 'Wooden Railway, 40 Pieces', 'toys'),
    (127, 'Desk Charger 100 W', 'electronics'),
    (128, 'Stockpot 8 l', 'kitchen'),
    (129, 'Desk Lamp, Brass', 'home'),
    (130, 'Gift Hamper with Tea and Biscuits', 'pantry'),
    (131, 'Monitor Arm', 'office'),
    (132, 'Carabiner', 'outdoor'),
    (133, 'Playing Cards', 'toys'),
    (134, 'Screen Cloth, Set of 3', 'electronics'),
    (135, 'Pocket Guide to Garden Birds', 'books'),
    (136, 'Measuring Cups', 'kitchen'),
    (137, 'Beeswax Candle', 'home'),
    (138, 'Notebook A5, Dotted', 'office'),
    (139, 'Garden Gloves', 'outdoor'),
    (140, 'Wholegrain Mustard 200 ml', 'pantry'),
    (141, 'Jigsaw Puzzle, 100 Pieces', 'toys'),
    (142, 'Cable Ties, Velcro', 'electronics'),
    (143, 'Garlic Press', 'kitchen'),
    (144, 'Laundry Basket', 'home'),
    (145, 'The Lighthouse Letters', 'books'),
    (146, 'Stapler', 'office'),
    (147, 'Trowel', 'outdoor'),
    (148, 'Kite', 'toys'),
    (149, 'USB Hub, 4 Ports', 'electronics'),
    (150, 'Apricot Jam, Set of 2', 'pantry'),
    (151, 'Bread Tin', 'kitchen'),
    (152, 'Clothes Brush', 'home'),
    (153, 'Whiteboard Markers', 'office'),
    (154, 'Pruning Shears', 'outdoor'),
    (155, 'The Baker''s Notebook', 'books'),
    (156, 'Finger Puppets', 'toys'),
    (157, 'Power Strip, 6 Sockets', 'electronics'),
    (158, 'Chopping Board, Oak', 'kitchen'),
    (159, 'Hand Towels, Set of 2', 'home'),
    (160, 'Black Garlic 150 g', 'pantry'),
    (161, 'Pen Holder, Walnut', 'office'),
    (162, 'Camping Stove', 'outdoor'),
    (163, 'Juggling Balls', 'toys'),
    (164, 'LED Strip 2 m', 'electronics'),
    (165, 'A Year of Trees', 'books'),
    (166, 'Baking Stone', 'kitchen'),
    (167, 'Alarm Clock', 'home'),
    (168, 'Hole Punch, Heavy Duty', 'office'),
    (169, 'Rope 20 m', 'outdoor'),
    (170, 'Maple Syrup 1 l', 'pantry'),
    (171, 'Building Blocks, 60 Pieces', 'toys'),
    (172, 'Thermometer, Indoor and Outdoor', 'electronics'),
    (173, 'Colander, Enamel', 'kitchen'),
    (174, 'Umbrella Stand', 'home'),
    (175, 'Watercolour in Ten Lessons', 'books'),
    (176, 'Fountain Pen', 'office'),
    (177, 'Hammock', 'outdoor'),
    (178, 'Chess Set, Folding', 'toys'),
    (179, 'Keyboard, Compact', 'electronics'),
    (180, 'Chocolate Tasting Box', 'pantry'),
    (181, 'Milk Frother', 'kitchen'),
    (182, 'Mirror, Round 40 cm', 'home'),
    (183, 'Laptop Stand', 'office'),
    (184, 'Rain Jacket', 'outdoor'),
    (185, 'Old Roses', 'books'),
    (186, 'Board Game: Harbour', 'toys'),
    (187, 'Bluetooth Speaker', 'electronics'),
    (188, 'Hand Blender', 'kitchen'),
    (189, 'Floor Cushion', 'home'),
    (190, 'Cheese Board Selection', 'pantry'),
    (191, 'Whiteboard 90 x 120 cm', 'office'),
    (192, 'Binoculars 8 x 25', 'outdoor'),
    (193, 'Balance Bike Helmet', 'toys'),
    (194, 'Headphones, Over-Ear', 'electronics'),
    (195, 'Atlas of Quiet Places', 'books'),
    (196, 'Dutch Oven 4.5 l', 'kitchen'),
    (197, 'Duvet, Goose Down', 'home'),
    (198, 'Pencils, Box of 12', 'office'),
    (199, 'Camping Spoon, Titanium', 'outdoor'),
    (200, 'Sea Salt Flakes 250 g', 'pantry'))
INSERT INTO {ns}products (product_id, sku, name, category, status, tax_class, version)
SELECT 'prod-' || printf('%03d', i), 'SKU-' || printf('%03d', i), name, category, 'active', CASE WHEN i % 5 = 0 THEN 'reduced' ELSE 'standard' END, 1
FROM seed;

WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200),
     currencies(code, percent) AS (VALUES ('EUR', 100), ('USD', 110), ('GBP', 86))
INSERT INTO {ns}prices (product_id, currency, price_minor)
SELECT 'prod-' || printf('%03d', i), code, (199 + i * 137 % 9000) * percent / 100
FROM n, currencies;

-- The stock of SKU-200 is scarce from the start; see the inventory service's seed.
INSERT INTO {ns}product_view (product_id, sku, name, category, status, tax_class, prices, version, words, availability, stock_version, sold)
SELECT p.product_id, p.sku, p.name, p.category, p.status, p.tax_class,
       (SELECT '[' || group_concat('{"currency":"' || currency || '","price_minor":' || price_minor || '}', ',' ORDER BY currency) || ']'
        FROM {ns}prices AS r WHERE r.product_id = p.product_id),
       1, lower(p.sku || ' ' || p.name || ' ' || c.name), CASE p.sku WHEN 'SKU-200' THEN 'low' ELSE 'in_stock' END, 1, 0
FROM {ns}products AS p JOIN {ns}categories AS c ON c.category = p.category;
